//! A thread for each client: 10,000 clients are 10,000 stacks.
use std::net::TcpListener;
use std::thread;

pub fn serve(listener: TcpListener, app: Arc<App>) -> std::io::Result<()> {
    for stream in listener.incoming() {
        let stream = stream?;
        let app = app.clone();
        thread::spawn(move || app.handle(stream)); //~ PL007 high
    }
    Ok(())
}
