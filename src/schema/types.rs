//! The type graph: what a field may hold and how it merges.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use regex::Regex;
use serde_json::Value;

use super::table;

/// A reference to a [`Type`]; cheap to clone. Types of built-in kinds are shared by the whole process, so that a
/// custom resource's `metadata` is the very type that a Pod's is.
#[derive(Clone)]
pub struct TypeRef(Target);

#[derive(Clone)]
enum Target {
    Builtin(usize),
    Own(Arc<Type>),
}

/// What a value may be. More than one of `scalar`, `list` and `map` means that the value decides.
#[derive(Debug, Clone, Default)]
pub struct Type {
    /// The scalars it may be.
    pub scalar: Option<Scalar>,
    /// The lists it may be.
    pub list: Option<ListType>,
    /// The mappings it may be.
    pub map: Option<MapType>,
    /// What validation asks beyond that.
    pub rules: Rules,
}

/// Which scalars.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scalar {
    /// Any.
    Untyped,
    /// Text.
    String,
    /// A number, whole or not.
    Numeric,
    /// `true` or `false`.
    Boolean,
}

/// How items of a list are told apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListKind {
    /// Not at all: the list is one value.
    Atomic,
    /// By their value; each at most once.
    Set,
    /// By these fields of them.
    Map(Vec<Arc<str>>),
}

/// A list.
#[derive(Debug, Clone)]
pub struct ListType {
    /// How items are told apart.
    pub kind: ListKind,
    /// Type of the items; `None` means any.
    pub items: Option<TypeRef>,
    /// The field that a strategic merge patch tells items by.
    pub patch_key: Option<Arc<str>>,
    /// Whether a strategic merge patch merges the list (else it replaces it).
    pub patch_merge: bool,
}

/// A mapping: a struct with named fields, a dictionary, or both.
#[derive(Debug, Clone, Default)]
pub struct MapType {
    /// Whether the mapping is one value.
    pub atomic: bool,
    /// Named fields.
    pub fields: BTreeMap<Arc<str>, Field>,
    /// What other keys may hold.
    pub others: Others,
    /// Nothing at all is declared: merging takes any key, pruning leaves none.
    pub free_form: bool,
    /// Names of fields that must be there.
    pub required: Vec<Arc<str>>,
}

/// What keys of a mapping may hold that are no named fields.
#[derive(Debug, Clone, Default)]
pub enum Others {
    /// There are no other keys.
    #[default]
    None,
    /// Anything; its type follows from the value.
    Any,
    /// Values of a type.
    Typed(TypeRef),
}

/// A named field.
#[derive(Debug, Clone)]
pub struct Field {
    /// Its type.
    pub ty: TypeRef,
    /// What it is when it is absent.
    pub default: Option<Value>,
    /// Whether a strategic merge patch replaces the value and never merges it (`$retainKeys` aside).
    pub patch_replace: bool,
}

/// What validation asks of a value, and pruning.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// `integer`, `number`, `string`, `boolean`, `object`, `array`, or none.
    pub json_type: Option<Arc<str>>,
    /// OpenAPI format.
    pub format: Option<Arc<str>>,
    /// `null` is a value of it.
    pub nullable: bool,
    /// An integer or a string.
    pub int_or_string: bool,
    /// Unknown fields are kept.
    pub preserve_unknown: bool,
    /// A whole object, with apiVersion, kind and metadata.
    pub embedded: bool,
    /// No other keys than the named ones: what one of several alternatives may say.
    pub closed: bool,
    /// What a definition asks of `apiVersion`, `kind` and `metadata` beyond what every object has.
    pub narrowed: Vec<(Arc<str>, TypeRef)>,
    /// Validation rules in CEL.
    pub validations: Vec<Validation>,
    /// The only values it may have.
    pub values: Option<Vec<Value>>,
    /// Bounds and patterns; rare, so behind a pointer.
    pub bounds: Option<Box<Bounds>>,
}

/// A validation rule in CEL, as a definition declares it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Validation {
    /// The expression; true for what is valid.
    pub rule: Arc<str>,
    /// What is said when it is not.
    pub message: Option<Arc<str>>,
    /// An expression for what is said.
    pub message_expression: Option<Arc<str>>,
    /// `FieldValueInvalid` and its like.
    pub reason: Option<Arc<str>>,
    /// The field that it is said about, from where the rule stands.
    pub field_path: Option<Arc<str>>,
    /// Whether `oldSelf` is an optional, so that the rule is asked of new values too.
    pub optional_old_self: bool,
}

/// Bounds and patterns of a value.
#[derive(Debug, Clone, Default)]
pub struct Bounds {
    /// Least number, and whether it is excluded.
    pub minimum: Option<(f64, bool)>,
    /// Greatest number, and whether it is excluded.
    pub maximum: Option<(f64, bool)>,
    /// The number is a multiple of this.
    pub multiple_of: Option<f64>,
    /// Least number of characters.
    pub min_length: Option<u64>,
    /// Greatest number of characters.
    pub max_length: Option<u64>,
    /// What the text looks like.
    pub pattern: Option<Pattern>,
    /// Least number of items.
    pub min_items: Option<u64>,
    /// Greatest number of items.
    pub max_items: Option<u64>,
    /// No item twice.
    pub unique_items: bool,
    /// Least number of keys.
    pub min_properties: Option<u64>,
    /// Greatest number of keys.
    pub max_properties: Option<u64>,
    /// All of these must hold.
    pub all_of: Vec<TypeRef>,
    /// At least one of these must hold.
    pub any_of: Vec<TypeRef>,
    /// Exactly one of these must hold.
    pub one_of: Vec<TypeRef>,
    /// This must not hold.
    pub not: Option<TypeRef>,
}

/// A regular expression, compiled when the first text is held against it: a cluster has thousands of them.
#[derive(Debug, Clone)]
pub struct Pattern {
    text: Arc<str>,
    compiled: OnceLock<Option<Regex>>,
}

impl Pattern {
    /// From an expression's text.
    pub fn new(text: &str) -> Pattern {
        Pattern { text: text.into(), compiled: OnceLock::new() }
    }

    /// The expression's text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether a text looks like it; every text does where the expression cannot be compiled.
    pub fn matches(&self, text: &str) -> bool {
        let compiled = self.compiled.get_or_init(|| Regex::new(&self.text).ok());
        compiled.as_ref().is_none_or(|regex| regex.is_match(text))
    }
}

impl TypeRef {
    /// A reference to a type of one's own.
    pub fn new(ty: Type) -> TypeRef {
        TypeRef(Target::Own(Arc::new(ty)))
    }

    pub(super) fn builtin(index: usize) -> TypeRef {
        TypeRef(Target::Builtin(index))
    }

    pub(super) fn builtin_index(&self) -> Option<usize> {
        match &self.0 {
            Target::Builtin(index) => Some(*index),
            Target::Own(_) => None,
        }
    }

    /// The short name of a type of a built-in kind, such as `core.v1.Pod`.
    pub(super) fn builtin_name(&self) -> Option<&'static str> {
        self.builtin_index().map(table::name_at)
    }

    /// The type.
    pub fn get(&self) -> &Type {
        match &self.0 {
            Target::Builtin(index) => table::type_at(*index),
            Target::Own(ty) => ty,
        }
    }

    /// Whether it is the type of quantities such as `500m`.
    pub fn is_quantity(&self) -> bool {
        matches!(self.0, Target::Builtin(index) if table::name_at(index) == "api.resource.Quantity")
    }

    /// Whether it is a type of a built-in kind, whose API server holds objects as structs with zero values.
    pub fn is_builtin(&self) -> bool {
        matches!(self.0, Target::Builtin(_))
    }
}

impl fmt::Debug for TypeRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            // Built-in types refer to themselves: their name is enough.
            Target::Builtin(index) => write!(f, "{}", table::name_at(*index)),
            Target::Own(ty) => ty.fmt(f),
        }
    }
}

impl MapType {
    /// Type of the value under a key.
    pub fn value_type(&self, key: &str) -> Option<&TypeRef> {
        match (self.fields.get(key), &self.others) {
            (Some(field), _) => Some(&field.ty),
            (None, Others::Typed(ty)) => Some(ty),
            (None, _) => None,
        }
    }

    /// Whether a key may be there.
    pub fn knows(&self, key: &str) -> bool {
        self.fields.contains_key(key) || !matches!(self.others, Others::None)
    }
}
