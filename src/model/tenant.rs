//! Somebody whose objects are applied with his own rights.

/// The annotation on an object that is applied as a tenant: his name. Whom that is applied as is said by the
/// repository's own `moin.yaml` and by nothing on the object.
pub const TENANT: &str = "moin.scs.community/tenant";

/// A tenant, and the user that stands for him in the API server.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tenant {
    /// His name, as his folder is called.
    pub name: String,
    /// The user as whom his objects are applied.
    pub user: String,
    /// That user's groups.
    pub groups: Vec<String>,
}
