//! Who gets in: bounds over all requests at once, in number and in bytes, and over each
//! organisation's.
//!
//! A request passes three tiers, each of which refuses at once and never queues:
//! 1. [`Admission::layer`]: so many requests at once in the whole server, else 503;
//! 2. [`Tenants::layer`], inside of the layer that authenticates: so many at once, and so many a
//!    second, of one organisation, else 429;
//! 3. [`Admission::bodies`]: so many bytes of bodies in memory, reserved before the first is read,
//!    else 503; a body above the cap is 413, one that comes too slowly 408. Handlers find the body
//!    whole, by any extractor.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use axum::{Router, body::Bytes, routing::post};
//! use plimsoll_service::admission::{Admission, Limits, TenantLimits, Tenants};
//! use plimsoll_service::auth::{self, Caller, Keys};
//! use tower::ServiceBuilder;
//!
//! let directory = tempfile::tempdir()?;
//! let keys = Keys::load_or_create(directory.path())?;
//! let admission = Admission::new(Limits::default())?;
//! let tenants = Tenants::new(TenantLimits::default(), 100_000)?;
//! let accept = async |caller: Caller, body: Bytes| format!("{}: {}", caller.org, body.len());
//! let router: Router = Router::new().route("/", post(accept)).layer(
//!     // One stack, so that axum boxes it once.
//!     ServiceBuilder::new()
//!         .layer(admission.layer())
//!         .layer(auth::require(keys))
//!         .layer(tenants.layer(Caller::org_of))
//!         .layer(admission.bodies()),
//! );
//! # Ok(())
//! # }
//! ```

mod body;
mod global;
mod tenant;

pub use body::{Bodies, BodiesLayer, WithBody};
pub use global::{Admission, Limits};
pub use tenant::{TenantGate, TenantLimits, TenantOf, TenantTable, Tenants, WaitingGate};
