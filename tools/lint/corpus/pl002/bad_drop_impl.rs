//! Started while something is dropped: nobody can wait for it.
impl Drop for Session {
    fn drop(&mut self) {
        let registry = self.registry.clone();
        let id = self.id;
        tokio::spawn(async move { //~ PL002
            registry.remove(id).await;
        });
    }
}
