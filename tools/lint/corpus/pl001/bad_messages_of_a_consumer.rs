//! A broker's messages, a task for each: the broker's backlog becomes tasks.
use rdkafka::consumer::{Consumer, StreamConsumer};

pub async fn consume(consumer: StreamConsumer, pipeline: Arc<Pipeline>) -> anyhow::Result<()> {
    loop {
        let message = consumer.recv().await?;
        let pipeline = Arc::clone(&pipeline);
        let owned = message.detach();
        tokio::spawn(async move { //~ PL001 high
            if let Err(error) = pipeline.process(owned).await {
                tracing::error!(%error, "message failed");
            }
        });
    }
}
