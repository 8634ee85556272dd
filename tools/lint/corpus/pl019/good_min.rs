//! Whatever is said, no more than 64.
pub async fn subscribe(Query(options): Query<Options>, State(app): State<App>) -> Sse<EventStream> {
    let (sender, receiver) = tokio::sync::mpsc::channel(options.buffer.min(64));
    app.subscribe(sender);
    Sse::new(EventStream::from(receiver))
}
