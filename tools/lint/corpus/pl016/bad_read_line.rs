//! A line has no end unless its sender gives it one.
pub async fn commands(socket: TcpStream, app: App) -> io::Result<()> {
    let mut reader = BufReader::new(socket);
    let mut line = String::new();
    while reader.read_line(&mut line).await? > 0 { //~ PL016
        app.command(line.trim()).await;
        line.clear();
    }
    Ok(())
}
