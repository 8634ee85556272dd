//! The same under another name.
use tokio::spawn as start;

pub async fn resize_all(images: Vec<ImageId>, store: Arc<Store>) {
    for image in images {
        let store = store.clone();
        start(async move { store.resize(image).await }); //~ PL001 medium
    }
}
