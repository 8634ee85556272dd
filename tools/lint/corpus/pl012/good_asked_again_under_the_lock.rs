//! The quick way without the lock, the sure way with it.
pub async fn get_or_create(rooms: &RwLock<HashMap<RoomId, Arc<Room>>>, id: RoomId) -> Arc<Room> {
    if let Some(room) = rooms.read().await.get(&id) {
        return room.clone();
    }
    rooms.write().await.entry(id).or_insert_with(|| Arc::new(Room::new(id))).clone()
}
