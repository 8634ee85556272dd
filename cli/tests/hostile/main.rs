//! What strangers send: bodies, heads, values and tokens at every limit and beyond it, slowly, wrongly
//! framed, or never. Each is answered with a 4xx that says what is wrong, or its connection ends; the
//! server stays well, its memory flat, and who behaves is served.

#![expect(clippy::unwrap_used, reason = "a failure ends the test")]

mod bodies;
mod flood;
#[expect(unused_imports, reason = "shared with tests that have receivers; these have none")]
#[path = "../harness/mod.rs"]
mod harness;
mod heads;
mod limits;
mod low_disk;
mod paths;
mod site;
mod slow;
mod tokens;
mod values;
mod wire;
