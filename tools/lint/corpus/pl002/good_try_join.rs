//! Both are joined in the statement that starts them.
pub async fn both(left: Left, right: Right) -> Result<(), JoinError> {
    tokio::try_join!(tokio::spawn(left.run()), tokio::spawn(right.run()))?;
    Ok(())
}
