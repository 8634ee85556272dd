//! Who gets in: bounds over all requests at once, in number and in bytes, and over each
//! organisation's.
//!
//! A request passes three tiers, each of which refuses at once and never queues:
//! 1. [`Admission::layer`]: so many requests at once in the whole server, else 503;
//! 2. `Tenants::layer`, inside of [`auth::require`](crate::auth::require): so many at once, and
//!    so many a second, of one organisation, else 429;
//! 3. [`WholeBody`]: so many bytes of bodies in memory, reserved before the first is read, else
//!    503; a body above the cap is 413, one that comes too slowly 408.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use plimsoll_service::admission::{Admission, Limits, WholeBody};
//! use plimsoll_service::auth::{self, Caller, Keys};
//! use tower::ServiceBuilder;
//!
//! let directory = tempfile::tempdir()?;
//! let admission = Admission::new(Limits::default())?;
//! let accept = async |caller: Caller, body: WholeBody| format!("{}: {}", caller.org, body.len());
//! let router: axum::Router = axum::Router::new().route("/", axum::routing::post(accept)).layer(
//!     // One stack, so that axum boxes it once.
//!     ServiceBuilder::new()
//!         .layer(admission.layer())
//!         .layer(auth::require(Keys::load_or_create(directory.path())?)),
//! );
//! # Ok(())
//! # }
//! ```

mod body;
mod global;

pub use body::WholeBody;
pub use global::{Admission, AdmissionLayer, Admit, Limits};
