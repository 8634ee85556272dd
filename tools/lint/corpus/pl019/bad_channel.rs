//! And how deep a queue is.
pub async fn subscribe(Query(options): Query<Options>, State(app): State<App>) -> Sse<EventStream> {
    let (sender, receiver) = tokio::sync::mpsc::channel(options.buffer); //~ PL019 high
    app.subscribe(sender);
    Sse::new(EventStream::from(receiver))
}
