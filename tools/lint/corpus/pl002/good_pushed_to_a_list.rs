//! Kept in a list that is joined at shutdown.
impl Server {
    pub fn start_background(&mut self) {
        self.tasks.push(tokio::spawn(compact_forever(self.store.clone())));
        self.tasks.push(tokio::spawn(expire_forever(self.store.clone())));
    }
}
