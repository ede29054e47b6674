//! Named formats.

use crate::expr::cel::value::Value;

/// The size of the pattern that a format checks with.
pub(crate) fn pattern_size(_format: Option<&Value<'_>>) -> u64 {
    1
}
