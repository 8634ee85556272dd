//! The read lock is gone when the write lock comes.
pub async fn get_or_create(rooms: &RwLock<HashMap<RoomId, Arc<Room>>>, id: RoomId) -> Arc<Room> {
    if let Some(room) = rooms.read().await.get(&id) { //~ PL012
        return room.clone();
    }
    let room = Arc::new(Room::new(id));
    rooms.write().await.insert(id, room.clone());
    room
}
