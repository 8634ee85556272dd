//! What a crate is made of: collected from all of its files before any is judged.

mod calls;
mod function;
mod krate;
mod place;

pub(crate) use calls::CallFacts;
pub(crate) use function::{FunctionFacts, Role, is_test as is_test_item, role_of};
pub(crate) use krate::{CrateFacts, FileFacts};
pub(crate) use place::{crate_of, is_test, module_of};
