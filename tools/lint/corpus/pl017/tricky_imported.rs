//! Imported by name.
use futures::select;

pub async fn poll(mut a: A, mut b: B) {
    loop {
        select! { //~ PL017
            x = a.next() => handle(x),
            y = b.next() => handle(y),
            default => { std::hint::spin_loop(); }
        }
    }
}
