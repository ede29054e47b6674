//! What names and labels must look like, for those who check them outside of an object's own rules.

pub(crate) use super::rules::embedded_metadata;
pub(crate) use super::rules::text::{
    is_label, is_subdomain, label_value as label_value_errors, letter_label as dns_1035_errors,
    qualified as label_key_errors, subdomain as subdomain_errors,
};
