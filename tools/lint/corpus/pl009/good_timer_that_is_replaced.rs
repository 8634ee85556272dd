//! One timer for each owner: the last is ended before the next begins.
impl Session {
    pub fn touch(&mut self) {
        if let Some(timer) = self.timer.take() {
            timer.abort();
        }
        let closer = self.closer.clone();
        self.timer = Some(tokio::spawn(async move {
            tokio::time::sleep(IDLE_MAX).await;
            closer.close().await;
        }));
    }
}
