//! A process, awaited; and bevy-like commands.
pub async fn build(steps: Vec<Step>) -> io::Result<()> {
    for step in steps {
        let mut child = tokio::process::Command::new(step.program).args(step.arguments).spawn()?;
        child.wait().await?;
    }
    Ok(())
}
