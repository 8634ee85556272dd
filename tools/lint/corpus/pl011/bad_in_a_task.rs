//! In a task.
pub async fn poll_all(devices: Vec<Device>, limit: Arc<Semaphore>) {
    for device in devices {
        let permit = limit.clone().acquire_owned().await.unwrap();
        tokio::spawn(async move { //~? PL002
            let _permit = permit;
            device.wake().await;
            tokio::time::sleep(Duration::from_secs(2)).await; //~ PL011
            device.read().await;
        });
    }
}
