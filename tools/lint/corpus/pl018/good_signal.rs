//! A semaphore as a signal: permits are added when there is something.
pub struct Signal {
    permits: Semaphore,
}

impl Signal {
    pub fn new() -> Self {
        Self { permits: Semaphore::new(0) }
    }

    pub fn raise(&self) {
        self.permits.add_permits(1);
    }

    pub async fn wait(&self) {
        if let Ok(permit) = self.permits.acquire().await {
            permit.forget();
        }
    }
}
