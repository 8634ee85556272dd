//! In a static.
static UPLOADS: Semaphore = Semaphore::const_new(0); //~ PL018

pub async fn upload(file: File) {
    let _permit = UPLOADS.acquire().await;
    file.upload().await;
}
