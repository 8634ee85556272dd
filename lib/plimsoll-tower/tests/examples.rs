//! The examples, each with its server and its client.

#[expect(dead_code, reason = "its `main` is for `cargo run`")]
#[path = "../examples/axum.rs"]
mod axum_example;
#[expect(dead_code, reason = "its `main` is for `cargo run`")]
#[path = "../examples/tonic.rs"]
mod tonic_example;

#[tokio::test]
async fn axum_serves_with_one_limit_for_all_connections() {
    axum_example::run().await.expect("the example runs");
}

#[tokio::test]
async fn tonic_serves_with_a_limit_for_each_tenant() {
    tonic_example::run().await.expect("the example runs");
}
