//! Types as the checker sees them, and the short text form in which function tables declare signatures.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::value::Unset;

/// A type of an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Type {
    /// What a wrong expression has; fits everywhere so that one mistake is told once.
    Error,
    /// Known only when the expression runs.
    Dyn,
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool,
    /// A 64-bit integer.
    Int,
    /// A 64-bit integer without sign.
    Uint,
    /// A 64-bit float.
    Double,
    /// Text.
    String,
    /// Bytes.
    Bytes,
    /// A length of time.
    Duration,
    /// A point in time.
    Timestamp,
    /// A list of items of a type.
    List(Arc<Type>),
    /// A map from keys to values.
    Map(Arc<(Type, Type)>),
    /// The type of types; of `type(x)` it knows which.
    Type(Option<Arc<Type>>),
    /// A type parameter of a signature, or a variable of inference.
    Param(Arc<str>),
    /// A type known by its name and parameters alone, such as `optional_type(int)`.
    Opaque(Arc<str>, Arc<[Type]>),
    /// A type with fields.
    Object(ObjectType),
}

/// A type with fields. Two are the same if their names are.
#[derive(Clone)]
pub struct ObjectType {
    name: Arc<str>,
    fields: Arc<Fields>,
    unset: Option<Unset>,
}

/// The fields of an [`ObjectType`].
pub enum Fields {
    /// These.
    Named(BTreeMap<Arc<str>, Type>),
    /// What a function says: for types that are made while they are looked at, or hold themselves.
    Computed(LookUp),
}

/// Tells the type of a field by its name.
pub type LookUp = Box<dyn Fn(&str) -> Option<Type> + Send + Sync>;

impl ObjectType {
    /// A type with these fields.
    pub fn new(name: impl Into<Arc<str>>, fields: Fields) -> ObjectType {
        ObjectType { name: name.into(), fields: Arc::new(fields), unset: None }
    }

    /// The same, whose values have all fields: those that are not set read as this says.
    #[must_use]
    pub fn with_unset(self, unset: Unset) -> ObjectType {
        ObjectType { unset: Some(unset), ..self }
    }

    pub(crate) fn unset(&self) -> Option<Unset> {
        self.unset
    }

    /// Its name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The type of a field.
    pub fn field(&self, name: &str) -> Option<Type> {
        match &*self.fields {
            // A field that is named like a word of the language is found by its plain name, too.
            Fields::Named(fields) => match fields.get(name) {
                Some(ty) => Some(ty.clone()),
                None if super::schema::is_reserved(name) => fields.get(&*format!("__{name}__")).cloned(),
                None => None,
            },
            Fields::Computed(look_up) => look_up(name),
        }
    }
}

impl PartialEq for ObjectType {
    fn eq(&self, other: &ObjectType) -> bool {
        self.name == other.name
    }
}

impl Eq for ObjectType {}

impl fmt::Debug for ObjectType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// The name of the type of optional values.
pub(crate) const OPTIONAL: &str = "optional_type";

impl Type {
    /// A list of `item`.
    pub fn list(item: Type) -> Type {
        Type::List(Arc::new(item))
    }

    /// A map from `key` to `value`.
    pub fn map(key: Type, value: Type) -> Type {
        Type::Map(Arc::new((key, value)))
    }

    /// A value that may be absent.
    pub fn optional(of: Type) -> Type {
        Type::Opaque(OPTIONAL.into(), Arc::new([of]))
    }

    /// A type without fields of its own that is known by its name, for the values of a library.
    pub fn object(name: &str) -> Type {
        Type::Object(ObjectType::new(name, Fields::Named(BTreeMap::new())))
    }

    /// A type with named fields.
    pub fn message<N: Into<Arc<str>>>(name: &str, fields: impl IntoIterator<Item = (N, Type)>) -> Type {
        let fields = fields.into_iter().map(|(name, ty)| (name.into(), ty)).collect();
        Type::Object(ObjectType::new(name, Fields::Named(fields)))
    }

    /// Whether anything fits, because it is dynamic or already wrong.
    pub(crate) fn is_dyn_or_error(&self) -> bool {
        matches!(self, Type::Dyn | Type::Error)
    }

    /// What an optional type holds.
    pub(crate) fn optional_of(&self) -> Option<&Type> {
        match self {
            Type::Opaque(name, parameters) if &**name == OPTIONAL => parameters.first(),
            _ => None,
        }
    }

    /// The name without parameters.
    pub fn name(&self) -> &str {
        match self {
            Type::Error => "!error!",
            Type::Dyn => "dyn",
            Type::Null => "null_type",
            Type::Bool => "bool",
            Type::Int => "int",
            Type::Uint => "uint",
            Type::Double => "double",
            Type::String => "string",
            Type::Bytes => "bytes",
            Type::Duration => "google.protobuf.Duration",
            Type::Timestamp => "google.protobuf.Timestamp",
            Type::List(_) => "list",
            Type::Map(_) => "map",
            Type::Type(_) => "type",
            Type::Param(name) | Type::Opaque(name, _) => name,
            Type::Object(object) => object.name(),
        }
    }
}

/// As messages name it: `list(int)`, `map(string, dyn)`, `timestamp`.
impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Null => f.write_str("null"),
            Type::Duration => f.write_str("duration"),
            Type::Timestamp => f.write_str("timestamp"),
            Type::List(item) => write!(f, "list({item})"),
            Type::Map(pair) => write!(f, "map({}, {})", pair.0, pair.1),
            Type::Type(Some(of)) => write!(f, "type({of})"),
            Type::Opaque(name, parameters) if !parameters.is_empty() => {
                write!(f, "{name}(")?;
                for (i, parameter) in parameters.iter().enumerate() {
                    let comma = if i > 0 { ", " } else { "" };
                    write!(f, "{comma}{parameter}")?;
                }
                f.write_str(")")
            }
            other => f.write_str(other.name()),
        }
    }
}

/// What a function takes and gives.
#[derive(Debug, Clone, PartialEq)]
pub struct Signature {
    /// Whether it is called on its first argument, `x.f(y)`.
    pub member: bool,
    /// The types of its arguments, the receiver first.
    pub arguments: Vec<Type>,
    /// The type of its result.
    pub result: Type,
    /// Names of its type parameters.
    pub parameters: Vec<Arc<str>>,
}

impl Signature {
    /// Reads `(string, int) -> bool`, or `string.(int) -> bool` for a function called on its first argument. One
    /// capital letter is a type parameter, `name()` a type known by its name alone, any other name a type with fields.
    pub fn parse(text: &str) -> Option<Signature> {
        let (left, result) = text.split_once("->")?;
        let left = left.trim();
        let mut reader = Reader(left);
        let mut arguments = Vec::new();
        let member = !left.starts_with('(');
        if member {
            arguments.push(reader.ty()?);
            reader.skip('.')?;
        }
        reader.skip('(')?;
        reader.list(&mut arguments)?;
        let result = Reader(result.trim()).ty()?;
        let mut parameters = Vec::new();
        arguments.iter().chain([&result]).for_each(|ty| collect_parameters(ty, &mut parameters));
        Some(Signature { member, arguments, result, parameters })
    }
}

fn collect_parameters(ty: &Type, into: &mut Vec<Arc<str>>) {
    match ty {
        Type::Param(name) if !into.contains(name) => into.push(name.clone()),
        Type::List(item) => collect_parameters(item, into),
        Type::Map(pair) => {
            collect_parameters(&pair.0, into);
            collect_parameters(&pair.1, into);
        }
        Type::Type(Some(of)) => collect_parameters(of, into),
        Type::Opaque(_, parameters) => parameters.iter().for_each(|p| collect_parameters(p, into)),
        _ => {}
    }
}

struct Reader<'a>(&'a str);

impl Reader<'_> {
    fn skip(&mut self, c: char) -> Option<()> {
        self.0 = self.0.trim_start().strip_prefix(c)?;
        Some(())
    }

    /// Types up to a closing parenthesis.
    fn list(&mut self, into: &mut Vec<Type>) -> Option<()> {
        if self.skip(')').is_some() {
            return Some(());
        }
        loop {
            into.push(self.ty()?);
            if self.skip(')').is_some() {
                return Some(());
            }
            self.skip(',')?;
        }
    }

    fn ty(&mut self) -> Option<Type> {
        let text = self.0.trim_start();
        let mut end =
            text.find(|c: char| !(c.is_ascii_alphanumeric() || "._@".contains(c))).unwrap_or(text.len());
        // The dot before the parenthesis of a member call is no part of the name.
        if text[..end].ends_with('.') {
            end -= 1;
        }
        let name = &text[..end];
        self.0 = &text[end..];
        let mut of = Vec::new();
        let opaque = self.0.starts_with('(');
        if opaque {
            self.skip('(')?;
            self.list(&mut of)?;
        }
        named(name, opaque, of)
    }
}

fn named(name: &str, opaque: bool, mut of: Vec<Type>) -> Option<Type> {
    Some(match (name, of.len()) {
        ("dyn", 0) => Type::Dyn,
        ("null", 0) => Type::Null,
        ("bool", 0) => Type::Bool,
        ("int", 0) => Type::Int,
        ("uint", 0) => Type::Uint,
        ("double", 0) => Type::Double,
        ("string", 0) => Type::String,
        ("bytes", 0) => Type::Bytes,
        ("duration", 0) => Type::Duration,
        ("timestamp", 0) => Type::Timestamp,
        ("type", 0) => Type::Type(None),
        ("type", 1) => Type::Type(Some(Arc::new(of.remove(0)))),
        ("list", 1) => Type::list(of.remove(0)),
        ("map", 2) => {
            let key = of.remove(0);
            Type::map(key, of.remove(0))
        }
        ("optional", 1) => Type::optional(of.remove(0)),
        ("", _) => return None,
        (name, 0) if name.len() == 1 && name.starts_with(|c: char| c.is_ascii_uppercase()) => {
            Type::Param(name.into())
        }
        (name, _) if opaque => Type::Opaque(name.into(), of.into()),
        (name, _) => Type::object(name),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_read() {
        let read = |text| Signature::parse(text).unwrap();
        let signature = read("list(A).(int, map(string, A)) -> optional(A)");
        assert!(signature.member);
        assert_eq!(signature.arguments.len(), 3);
        assert_eq!(signature.arguments[2].to_string(), "map(string, A)");
        assert_eq!(signature.result.to_string(), "optional_type(A)");
        assert_eq!(signature.parameters.len(), 1);
        let global = read("() -> net.IP()");
        assert!(!global.member && global.arguments.is_empty());
        assert_eq!(global.result.to_string(), "net.IP");
        assert_eq!(read("kubernetes.Quantity.() -> int").arguments[0], Type::object("kubernetes.Quantity"));
        assert!(Signature::parse("(int -> x").is_none());
    }
}
