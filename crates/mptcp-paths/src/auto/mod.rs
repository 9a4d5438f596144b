//! Endpoints that follow the host's network: what `mphttp paths auto` does.
//!
//! [`plan`] is pure: it looks at the host and at what was made before, and says what to change. [`Keeper`] reads, applies
//! and undoes. [`Rival`] is who else might be doing the same.

mod keeper;
#[cfg(test)]
mod model_tests;
mod plan;
mod rival;
mod routing;
#[cfg(test)]
mod tests;
mod want;

pub use keeper::{Keeper, Outcome};
pub use plan::{Change, Made, Options, Owned, Plan, plan};
pub(crate) use rival::programs;
pub use rival::{Rival, rival};
pub use routing::SourceRouting;
pub use want::{Note, Why};
