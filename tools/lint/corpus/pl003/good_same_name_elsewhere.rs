//! A method of the same name on another type is no recursion.
impl Supervisor {
    pub fn run(self) -> JoinHandle<()> {
        let worker = self.worker;
        tokio::spawn(async move { worker.run().await })
    }
}
