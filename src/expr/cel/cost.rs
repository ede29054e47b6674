//! What a call costs when it runs. One unit is about the time that looking at a field takes.

use super::value::Value;

/// Looking once at every character of a text costs this much a character.
pub(crate) const TRAVERSAL: f64 = 0.1;
/// What a pattern costs for each of its characters.
pub(crate) const PATTERN: f64 = 0.25;
/// Making a list.
pub(crate) const MAKE_LIST: u64 = 10;
/// Making a map.
pub(crate) const MAKE_MAP: u64 = 30;
/// Making a message.
pub(crate) const MAKE_STRUCT: u64 = 40;

/// How the cost of a call follows from its arguments.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cost {
    /// Always as much.
    Fixed(u64),
    /// In proportion to the length of the first argument; the result is as long if `sized`.
    Argument {
        /// Units a character.
        factor: f64,
        /// Whether the result is as long.
        sized: bool,
    },
    /// In proportion to the length of what the function is called on; the result is as long if `sized`.
    Receiver {
        /// Units a character.
        factor: f64,
        /// Whether the result is as long.
        sized: bool,
    },
    /// Each item of a list is looked at, or each character.
    Items,
    /// `replace`.
    Replace,
    /// `split`.
    Split,
    /// `join`.
    Join,
    /// A pattern is looked for in a text.
    Find,
    /// `matches`.
    Matches,
    /// A text is looked for in a text.
    Contains,
    /// `startsWith` and `endsWith`.
    Affix,
    /// Text becomes bytes.
    ToBytes,
    /// Bytes become text.
    ToText,
    /// `strings.quote`.
    Quote,
    /// `format`.
    Format,
    /// `in` of a list.
    InList,
    /// `<` and the like of texts or bytes, `==` and `!=` of anything.
    Compare,
    /// `+` of texts or bytes.
    Join2,
    /// `+` of lists.
    Append,
    /// `&&` and `||`.
    Logical,
    /// `? :`
    Conditional,
    /// An address is looked for in a network; `true` if it must be read from text.
    InNetwork(bool),
    /// A network is looked for in a network; `true` if it must be read from text.
    Subnet(bool),
    /// A named format.
    Validate,
    /// Items of two lists are compared, each with each, so many times.
    Pairs(u64),
    /// A new list as long as the one it is made of.
    CopyList,
    /// `slice`.
    Slice,
    /// `flatten`.
    Flatten,
    /// `lists.range`.
    Range,
    /// `distinct`.
    Distinct,
    /// `sort`.
    Sort,
    /// `sortBy`.
    SortBy,
    /// An item of a list, or of a map.
    Index,
}

/// One unit.
pub(crate) const UNIT: Cost = Cost::Fixed(1);
/// The first argument is read once.
pub(crate) const READ: Cost = Cost::Argument { factor: TRAVERSAL, sized: false };

fn size(value: Option<&Value<'_>>) -> u64 {
    match value {
        Some(Value::Optional(Some(value))) => size(Some(value)),
        Some(value) => value.size().unwrap_or(1),
        None => 1,
    }
}

pub(crate) fn scaled(size: u64, factor: f64) -> u64 {
    (size as f64 * factor).ceil() as u64
}

/// What a call cost.
pub(crate) fn actual(cost: Cost, args: &[Value<'_>], result: &Value<'_>) -> u64 {
    let first = || size(args.first());
    let second = || size(args.get(1));
    match cost {
        Cost::Fixed(cost) => cost,
        Cost::Argument { factor, .. } | Cost::Receiver { factor, .. } => scaled(first(), factor),
        Cost::Items => args.first().map_or(0, traversal),
        Cost::Replace => scaled(first(), 2.0 * TRAVERSAL) + grown(first(), size(Some(result))),
        Cost::Split => scaled(first(), 2.0 * TRAVERSAL),
        Cost::Join => scaled(size(Some(result)), 2.0 * TRAVERSAL),
        Cost::Find | Cost::Matches => scaled(first() + 1, TRAVERSAL) * scaled(second(), PATTERN),
        Cost::Contains => scaled(first(), TRAVERSAL) * scaled(second(), TRAVERSAL),
        Cost::Affix | Cost::ToBytes | Cost::ToText | Cost::Quote | Cost::Format => scaled(first(), TRAVERSAL),
        Cost::InList => second(),
        Cost::Compare => match args.first() {
            Some(Value::Opaque(_)) => 1,
            _ => scaled(first().min(second()), TRAVERSAL),
        },
        Cost::Join2 => scaled(first() + second(), TRAVERSAL),
        Cost::Append => 1 + copied(size(Some(result))),
        Cost::Index => 1,
        Cost::Logical | Cost::Conditional => 0,
        Cost::InNetwork(text) => {
            scaled(first() * 2, TRAVERSAL) + if text { scaled(second(), TRAVERSAL) } else { 0 }
        }
        Cost::Subnet(text) => {
            let read = if text { scaled(second(), TRAVERSAL) } else { 0 };
            scaled(first() * 2, TRAVERSAL) + scaled(first(), TRAVERSAL) + 1 + read
        }
        Cost::Validate => {
            let pattern = super::lib::format::pattern_size(args.first());
            scaled(second() + 1, TRAVERSAL) * scaled(pattern, PATTERN)
        }
        Cost::Pairs(times) => 1 + times * first() * second(),
        Cost::CopyList | Cost::Slice | Cost::Range => new_list(1.0, size(Some(result))),
        Cost::Flatten => match args.get(1) {
            Some(Value::Int(depth)) => new_list(*depth as f64, first()),
            _ => new_list(1.0, first()),
        },
        Cost::Distinct | Cost::Sort => compare_all(args.first()),
        Cost::SortBy => compare_all(args.get(1)),
    }
}

/// What a text costs that became far longer than what it was made of. Kubernetes asks nothing for that.
fn grown(from: u64, to: u64) -> u64 {
    if to > from.saturating_mul(4).saturating_add(LONG) { scaled(to, TRAVERSAL) } else { 0 }
}

/// What a long list costs that is put together of others. Kubernetes, which does not copy them, asks nothing for that.
pub(crate) fn copied(length: u64) -> u64 {
    if length > LONG { length } else { 0 }
}

/// Texts and lists up to this length cost what they cost in Kubernetes.
const LONG: u64 = 1024;

/// What it costs to make an engine of a pattern that is only known now, if that is not done at once: counted
/// repetitions and classes of letters make it large.
pub(crate) fn pattern(pattern: &str) -> u64 {
    let counts = pattern.split('{').skip(1).filter_map(|rest| rest.split('}').next());
    let counts = counts.filter_map(|counts| counts.rsplit(',').find_map(|count| count.parse::<u64>().ok()));
    let repeated = counts.fold(1, |product: u64, count| product.saturating_mul(count.max(1)));
    let letters =
        if pattern.contains("\\p") || pattern.contains("\\P") || pattern.contains("(?i") { 1000 } else { 1 };
    (pattern.len() as u64).saturating_mul(repeated).saturating_mul(letters) / 200
}

/// A list of a size is made, with so much work for each item.
fn new_list(factor: f64, size: u64) -> u64 {
    ((size as f64 * factor) as u64).saturating_add(1 + MAKE_LIST)
}

/// All items of a list are compared with each other.
fn compare_all(list: Option<&Value<'_>>) -> u64 {
    let length = size(list);
    let text = matches!(list.and_then(|list| list.item(0)), Some(Ok(Value::String(_) | Value::Bytes(_))));
    new_list(if text { 2.0 + TRAVERSAL } else { 2.0 }, length * length)
}

/// What it costs to look at everything in a value once.
fn traversal(value: &Value<'_>) -> u64 {
    match value {
        Value::String(text) => (text.len() as f64 * TRAVERSAL) as u64,
        Value::Bytes(bytes) => (bytes.len() as f64 * TRAVERSAL) as u64,
        Value::JsonList(..) | Value::List(_) => {
            value.items().map_or(1, |items| items.iter().map(traversal).sum())
        }
        Value::JsonMap(..) | Value::Map(_) => value
            .keys()
            .iter()
            .map(|key| traversal(key) + value.find(key).ok().flatten().map_or(1, |value| traversal(&value)))
            .sum(),
        _ => 1,
    }
}
