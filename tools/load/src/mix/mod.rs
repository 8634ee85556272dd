//! What is sent: requests with weights, data that fills them in, and the tenants they are sent for.

mod data;
mod file;
mod request;
mod template;
mod tenants;

pub use data::{Data, Order};
pub use request::{Mix, Request};
pub use tenants::{Tenant, Tenants};

pub(crate) use request::Draft;
pub(crate) use template::Values;

#[cfg(test)]
mod tests;
