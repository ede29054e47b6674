//! What an expression costs at least and at most, told from its text and the bounds of its schema.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::ast::{Call, Expr, Fold, Id, Kind, Literal, Shape as FoldShape, op};
use super::checker::{Checked, Reference};
use super::cost::{Cost, MAKE_LIST, MAKE_MAP, MAKE_STRUCT, PATTERN, TRAVERSAL};
use super::env::Overload;
use super::program::Program;
use super::schema::{Schema, Shape, is_reserved, unescape};
use super::stack;
use super::types::Type;

/// A least and a most: of a cost, or of a size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CostRange {
    /// The least.
    pub min: u64,
    /// The most.
    pub max: u64,
}

/// Nothing is known of a size.
const UNKNOWN: CostRange = CostRange { min: 0, max: u64::MAX };

impl CostRange {
    const fn exactly(n: u64) -> CostRange {
        CostRange { min: n, max: n }
    }

    fn add(self, other: CostRange) -> CostRange {
        CostRange { min: self.min.saturating_add(other.min), max: self.max.saturating_add(other.max) }
    }

    fn times(self, other: CostRange) -> CostRange {
        CostRange { min: self.min.saturating_mul(other.min), max: self.max.saturating_mul(other.max) }
    }

    fn scaled(self, factor: f64) -> CostRange {
        // A float beyond the range of a number becomes its greatest.
        let scale = |n: u64| (n as f64 * factor).ceil() as u64;
        CostRange { min: scale(self.min), max: scale(self.max) }
    }

    fn union(self, other: CostRange) -> CostRange {
        CostRange { min: self.min.min(other.min), max: self.max.max(other.max) }
    }
}

impl Program {
    /// What a run costs at least and at most. `root` is the schema of the variables, if they have one.
    pub fn estimate(&self, root: Option<&Schema>) -> CostRange {
        let estimated = stack::with_room(self.depth(), || {
            let mut estimator = Estimator {
                checked: self.checked(),
                root,
                paths: FxHashMap::default(),
                sizes: FxHashMap::default(),
                entries: FxHashMap::default(),
                locals: Vec::new(),
            };
            estimator.cost(&self.checked().ast.root)
        });
        estimated.unwrap_or(UNKNOWN)
    }
}

/// Where in the schema a value is from.
#[derive(Debug, Clone, Copy)]
enum Path<'s> {
    /// From nowhere.
    Nowhere,
    /// From a place that the schema describes, or from one that it does not.
    At(Option<&'s Schema>),
    /// A key of a map.
    Key,
}

/// Sizes of the keys and values of a list or map.
#[derive(Debug, Clone, Copy)]
struct Entries {
    list: bool,
    key: CostRange,
    value: CostRange,
}

#[derive(Debug, Clone)]
struct Local<'s> {
    name: Arc<str>,
    path: Path<'s>,
    size: Option<CostRange>,
    entries: Option<Entries>,
}

struct Estimator<'s> {
    checked: &'s Checked,
    root: Option<&'s Schema>,
    paths: FxHashMap<Id, Path<'s>>,
    sizes: FxHashMap<Id, CostRange>,
    entries: FxHashMap<Id, Entries>,
    locals: Vec<Local<'s>>,
}

/// What a call costs, and how large its result is, if that is known.
type Estimate = (CostRange, Option<CostRange>);

impl<'s> Estimator<'s> {
    fn local(&self, name: &str) -> Option<&Local<'s>> {
        self.locals.iter().rev().find(|local| &*local.name == name)
    }

    fn path(&self, expr: &Expr) -> Path<'s> {
        if let Kind::Ident(name) = &expr.kind
            && let Some(local) = self.local(name)
        {
            return local.path;
        }
        self.paths.get(&expr.id).copied().unwrap_or(Path::Nowhere)
    }

    /// One step further. From nowhere it leads to the root, as every variable does.
    fn step(&self, path: Path<'s>, segment: &str) -> Path<'s> {
        let at = match path {
            Path::Nowhere => return Path::At(self.root),
            Path::Key => return Path::At(None),
            Path::At(at) => at,
        };
        let Some(schema) = at else { return Path::At(None) };
        match segment {
            "@items" | "@values" => Path::At(schema.items().or(schema.values()).map(|schema| &**schema)),
            "@keys" if matches!(schema.shape, Shape::Map(_)) => Path::Key,
            field if is_reserved(field) => Path::At(None),
            field => {
                let found =
                    unescape(field).and_then(|name| schema.field(&name)).filter(|field| field.ty().is_some());
                Path::At(found.map(|schema| &**schema))
            }
        }
    }

    fn schema_size(path: Path<'_>) -> Option<CostRange> {
        match path {
            Path::At(Some(schema)) => Some(CostRange { min: 0, max: schema.max_elements() }),
            Path::Key => Some(CostRange::exactly(0)),
            _ => None,
        }
    }

    fn cost(&mut self, expr: &Expr) -> CostRange {
        match &expr.kind {
            Kind::Literal(_) => CostRange::exactly(0),
            Kind::Ident(name) => {
                let path = match self.local(name) {
                    Some(local) => local.path,
                    None => Path::At(self.root),
                };
                self.paths.insert(expr.id, path);
                CostRange::exactly(1)
            }
            // A name with dots in it is a name.
            Kind::Select { .. } if !matches!(self.checked.reference(expr.id), Reference::None) => {
                self.paths.insert(expr.id, Path::At(self.root));
                CostRange::exactly(1)
            }
            Kind::Select { operand, test: true, .. } => self.cost(operand),
            Kind::Select { operand, field, .. } => {
                let sum = self.cost(operand);
                let path = self.step(self.path(operand), field);
                self.paths.insert(expr.id, path);
                match self.checked.ty(operand.id) {
                    Type::Map(_) | Type::Object(_) => sum.add(CostRange::exactly(1)),
                    _ => sum,
                }
            }
            Kind::Call(call) => self.call(expr, call),
            Kind::List(items) => {
                let mut sum = CostRange::exactly(MAKE_LIST);
                let mut size = CostRange { min: if items.is_empty() { 0 } else { u64::MAX }, max: 0 };
                for item in items {
                    sum = sum.add(self.cost(&item.value));
                    size = size.union(self.size_or_unknown(&item.value));
                }
                self.entries.insert(expr.id, Entries { list: true, key: CostRange::exactly(1), value: size });
                sum
            }
            Kind::Map(entries) => {
                let mut sum = CostRange::exactly(MAKE_MAP);
                let nothing = CostRange { min: if entries.is_empty() { 0 } else { u64::MAX }, max: 0 };
                let (mut key, mut value) = (nothing, nothing);
                for entry in entries {
                    sum = sum.add(self.cost(&entry.key)).add(self.cost(&entry.value));
                    key = key.union(self.size_or_unknown(&entry.key));
                    value = value.union(self.size_or_unknown(&entry.value));
                }
                self.entries.insert(expr.id, Entries { list: false, key, value });
                sum
            }
            Kind::Struct(_, fields) => fields
                .iter()
                .fold(CostRange::exactly(MAKE_STRUCT), |sum, field| sum.add(self.cost(&field.value))),
            Kind::Fold(fold) => self.fold(expr, fold),
        }
    }

    fn push(&mut self, name: &Arc<str>, path: Path<'s>, size: Option<CostRange>, entries: Option<Entries>) {
        self.locals.push(Local { name: name.clone(), path, size, entries });
    }

    fn fold(&mut self, expr: &Expr, fold: &Fold) -> CostRange {
        let mut sum = self.cost(&fold.range).add(self.cost(&fold.init));
        let depth = self.locals.len();
        let (path, size, entries) =
            (self.path(&fold.init), self.size(&fold.init), self.entry_sizes(&fold.init));
        self.push(&fold.accumulator, path, size, entries);
        if fold.shape == FoldShape::Bind {
            sum = sum.add(self.cost(&fold.result));
            self.locals.truncate(depth);
            self.copy_sizes(expr, &fold.result);
            return sum;
        }
        self.push_variables(fold);
        let round = self.cost(&fold.condition);
        let round = self.cost(&fold.step).add(round);
        self.locals.truncate(depth + 1);
        sum = sum.add(self.cost(&fold.result));
        self.locals.truncate(depth);
        let count = self.size_or_unknown(&fold.range);
        match &fold.init.kind {
            Kind::Literal(_) => {
                if let Some(size) = self.size(&fold.init) {
                    self.sizes.insert(expr.id, size);
                }
            }
            Kind::List(_) | Kind::Map(_) => {
                self.sizes.insert(expr.id, count);
                if let Some(entries) = self.entry_sizes(&fold.step) {
                    self.entries.insert(expr.id, entries);
                }
            }
            _ => {}
        }
        sum.add(count.times(round))
    }

    fn push_variables(&mut self, fold: &Fold) {
        let entries = self.entry_sizes(&fold.range);
        let path = self.path(&fold.range);
        let list = match entries {
            Some(entries) => entries.list,
            None => matches!(self.checked.ty(fold.range.id), Type::List(_)),
        };
        let (keys, values) = if list { ("@indices", "@items") } else { ("@keys", "@values") };
        let (key, value) = (entries.map(|e| e.key), entries.map(|e| e.value));
        match &fold.second {
            Some(second) => {
                self.push(&fold.variable, self.step(path, keys), key, None);
                self.push(second, self.step(path, values), value, None);
            }
            None if list => self.push(&fold.variable, self.step(path, "@items"), value, None),
            None => self.push(&fold.variable, self.step(path, "@keys"), key, None),
        }
    }

    fn copy_sizes(&mut self, to: &Expr, from: &Expr) {
        if let Some(size) = self.size(from) {
            self.sizes.insert(to.id, size);
        }
        if let Some(entries) = self.entry_sizes(from) {
            self.entries.insert(to.id, entries);
        }
    }

    fn size(&mut self, expr: &Expr) -> Option<CostRange> {
        if let Some(size) = self.sizes.get(&expr.id) {
            return Some(*size);
        }
        let own = match &expr.kind {
            Kind::Literal(Literal::String(text)) => Some(text.chars().count()),
            Kind::Literal(Literal::Bytes(bytes)) => Some(bytes.len()),
            Kind::Literal(_) => Some(1),
            Kind::List(items) => Some(items.len()),
            Kind::Map(entries) => Some(entries.len()),
            _ => None,
        };
        if let Some(own) = own {
            return Some(CostRange::exactly(u64::try_from(own).unwrap_or(u64::MAX)));
        }
        if let Some(size) = Self::schema_size(self.path(expr)) {
            self.sizes.insert(expr.id, size);
            return Some(size);
        }
        if is_scalar(self.checked.ty(expr.id)) {
            return Some(CostRange::exactly(1));
        }
        match &expr.kind {
            Kind::Ident(name) => self.local(name).and_then(|local| local.size),
            _ => None,
        }
    }

    fn size_or_unknown(&mut self, expr: &Expr) -> CostRange {
        self.size(expr).unwrap_or(UNKNOWN)
    }

    fn entry_sizes(&self, expr: &Expr) -> Option<Entries> {
        if let Some(entries) = self.entries.get(&expr.id) {
            return Some(*entries);
        }
        match &expr.kind {
            Kind::Ident(name) => self.local(name).and_then(|local| local.entries),
            _ => None,
        }
    }

    fn call(&mut self, expr: &Expr, call: &Call) -> CostRange {
        if &*call.function == "dyn"
            && let [arg] = &call.args[..]
        {
            let sum = self.cost(arg).add(CostRange::exactly(1));
            self.copy_sizes(expr, arg);
            return sum;
        }
        let mut args = CostRange::exactly(0);
        let mut arg_costs = Vec::with_capacity(call.args.len());
        for arg in &call.args {
            let cost = self.cost(arg);
            arg_costs.push(cost);
            args = args.add(cost);
        }
        let Reference::Overloads(overloads, full_name) = self.checked.reference(expr.id) else {
            return CostRange::exactly(0);
        };
        let target = if full_name.is_some() { None } else { call.target.as_ref() };
        let base = target.map_or(CostRange::exactly(0), |target| self.cost(target));
        let mut cost = CostRange { min: u64::MAX, max: 0 };
        let mut size: Option<CostRange> = None;
        for overload in overloads {
            let (one, result) = self.overload(expr, call, target, overload, &arg_costs, args);
            cost = cost.union(one);
            if let Some(result) = result {
                size = Some(size.map_or(result, |size| size.union(result)));
            }
            if let (Some(first), "index_list" | "index_map") = (call.args.first(), &*overload.id) {
                let segment = if &*overload.id == "index_list" { "@items" } else { "@values" };
                size = self.entry_sizes(first).map(|entries| entries.value);
                let path = self.step(self.path(first), segment);
                self.paths.insert(expr.id, path);
            }
            if size.is_none() {
                size = self.size(expr);
            }
        }
        if let Some(size) = size {
            self.sizes.insert(expr.id, size);
        }
        base.add(cost)
    }

    /// What an overload costs together with its arguments, yet without its target.
    fn overload(
        &mut self,
        expr: &Expr,
        call: &Call,
        target: Option<&Expr>,
        overload: &Overload,
        arg_costs: &[CostRange],
        args: CostRange,
    ) -> Estimate {
        match (overload.cost, arg_costs) {
            (Cost::Logical, [left, right]) => {
                return (CostRange { min: left.min, max: left.add(*right).max }, None);
            }
            (Cost::Conditional, [condition, then, otherwise]) => {
                let (a, b) = (&call.args[1], &call.args[2]);
                let size = self.size_or_unknown(a).union(self.size_or_unknown(b));
                self.unite_entries(expr, a, b);
                return (condition.add(then.union(*otherwise)), Some(size));
            }
            (Cost::Join2 | Cost::Append, [_, _]) => {
                let (a, b) = (&call.args[0], &call.args[1]);
                let size = self.size_or_unknown(a).add(self.size_or_unknown(b));
                self.unite_entries(expr, a, b);
                let own = if overload.cost == Cost::Append {
                    CostRange::exactly(1)
                } else {
                    size.scaled(TRAVERSAL)
                };
                return (own.add(args), Some(size));
            }
            _ => {}
        }
        let (own, size) = match self.function(call, target, overload.cost) {
            Some(estimate) => estimate,
            None => (CostRange::exactly(1), None),
        };
        (own.add(args), size)
    }

    fn unite_entries(&mut self, expr: &Expr, a: &Expr, b: &Expr) {
        if let (Some(a), Some(b)) = (self.entry_sizes(a), self.entry_sizes(b)) {
            let both = Entries { list: a.list, key: a.key.union(b.key), value: a.value.union(b.value) };
            self.entries.insert(expr.id, both);
        }
    }

    /// What a function costs beside its arguments.
    fn function(&mut self, call: &Call, target: Option<&Expr>, cost: Cost) -> Option<Estimate> {
        let first = call.args.first();
        let second = call.args.get(1);
        let one = CostRange::exactly(1);
        Some(match cost {
            Cost::Fixed(cost) => (CostRange::exactly(cost), None),
            Cost::Argument { factor, sized } => {
                let size = self.size_or_unknown(first?);
                (size.scaled(factor), sized.then_some(size))
            }
            Cost::Receiver { factor, sized } => {
                let size = self.size_or_unknown(target?);
                (size.scaled(factor), sized.then_some(size))
            }
            Cost::Items => (self.items(target?), None),
            Cost::Replace => self.replace(target?, first?, second?),
            Cost::Split => {
                let size = self.size_or_unknown(target?);
                let max = match second.map(|second| &second.kind) {
                    Some(Kind::Literal(Literal::Int(most))) => *most as u64,
                    _ => size.max,
                };
                (size.scaled(2.0 * TRAVERSAL), Some(CostRange { min: 0, max }))
            }
            Cost::Join => {
                let size = self.joined(target?, first);
                (size.scaled(TRAVERSAL), Some(size))
            }
            Cost::Find | Cost::Matches => {
                let size = self.size_or_unknown(target?);
                let pattern = self.size_or_unknown(first?).scaled(PATTERN);
                let result = (cost == Cost::Find).then_some(CostRange { min: 0, max: size.max });
                (size.add(one).scaled(TRAVERSAL).times(pattern), result)
            }
            Cost::Contains => {
                let size = self.size_or_unknown(target?).scaled(TRAVERSAL);
                (size.times(self.size_or_unknown(first?).scaled(TRAVERSAL)), None)
            }
            Cost::Affix => (self.size_or_unknown(first?).scaled(TRAVERSAL), None),
            Cost::ToBytes | Cost::ToText | Cost::Quote => {
                let size = self.size_or_unknown(first?);
                let result = match cost {
                    Cost::ToBytes => CostRange { min: size.min, max: size.max.wrapping_mul(4) },
                    Cost::ToText => CostRange { min: size.min / 4, max: size.max },
                    _ => CostRange { min: size.min + 2, max: size.max.wrapping_mul(2).wrapping_add(2) },
                };
                (size.scaled(TRAVERSAL), Some(result))
            }
            Cost::Format => (self.size_or_unknown(target?).scaled(TRAVERSAL), None),
            Cost::InList => (self.size_or_unknown(second?), None),
            Cost::Compare => (self.comparison(call, first?, second?), None),
            Cost::InNetwork(text) => {
                let size = CostRange { min: 4, max: 16 };
                let mut sum = size.add(size).scaled(TRAVERSAL);
                if text {
                    sum = sum.add(self.size_or_unknown(first?).scaled(TRAVERSAL));
                }
                (sum, None)
            }
            Cost::Subnet(text) => {
                let size = CostRange { min: 4, max: 16 };
                let mut sum = size.add(size).scaled(TRAVERSAL).add(size.scaled(TRAVERSAL)).add(one);
                if text {
                    sum = sum.add(self.size_or_unknown(first?).scaled(TRAVERSAL));
                }
                (sum, None)
            }
            // The longest pattern of a format has 128 characters.
            Cost::Validate => (self.size_or_unknown(first?).scaled(TRAVERSAL).scaled(128.0 * PATTERN), None),
            Cost::Pairs(times) => {
                let pairs = self.size_or_unknown(first?).times(self.size_or_unknown(second?));
                (pairs.scaled(times as f64).add(one), None)
            }
            Cost::CopyList => new_list(1.0, self.size_or_unknown(target?)),
            Cost::Slice => {
                let size = self.size_or_unknown(target?);
                let (start, end) = (whole(first?, 0), whole(second?, size.max));
                new_list(1.0, CostRange::exactly(end.wrapping_sub(start)))
            }
            Cost::Range => new_list(1.0, CostRange::exactly(whole(first?, u64::MAX))),
            Cost::Flatten => {
                let depth = first.map_or(1, |first| whole(first, u64::MAX));
                new_list(depth as f64, self.size_or_unknown(target?))
            }
            Cost::Distinct => {
                let size = self.size_or_unknown(target?);
                new_list(2.0, size.times(size))
            }
            Cost::Sort => self.sorted(target?),
            Cost::SortBy => self.sorted(first?),
            Cost::Index | Cost::Logical | Cost::Conditional | Cost::Join2 | Cost::Append => return None,
        })
    }

    /// The size of the items of a list.
    fn item_size(&self, list: &Expr) -> CostRange {
        match self.path(list) {
            Path::Nowhere => UNKNOWN,
            path => Self::schema_size(self.step(path, "@items")).unwrap_or(UNKNOWN),
        }
    }

    fn items(&mut self, target: &Expr) -> CostRange {
        let size = self.size_or_unknown(target);
        let mut each = CostRange::exactly(1);
        match self.checked.ty(target.id) {
            Type::List(item) => {
                if matches!(**item, Type::String | Type::Bytes) {
                    each = each.add(self.item_size(target).scaled(TRAVERSAL));
                }
                size.times(each)
            }
            _ => size.scaled(TRAVERSAL),
        }
    }

    fn joined(&mut self, target: &Expr, separator: Option<&Expr>) -> CostRange {
        let count = self.size_or_unknown(target);
        let mut size = CostRange::exactly(0);
        if matches!(self.checked.ty(target.id), Type::List(_)) {
            size = count.times(self.item_size(target));
        }
        if let Some(separator) = separator {
            let gaps = CostRange { min: count.min.saturating_sub(1), max: count.max.saturating_sub(1) };
            size = size.add(self.size_or_unknown(separator).times(gaps));
        }
        size
    }

    fn replace(&mut self, target: &Expr, old: &Expr, new: &Expr) -> Estimate {
        let (size, old, new) =
            (self.size_or_unknown(target), self.size_or_unknown(old), self.size_or_unknown(new));
        let zero = CostRange::exactly(0);
        let (mut count, mut kept) = (zero, zero);
        if old.min == 0 {
            count.max = size.max.saturating_add(1);
            kept.max = size.max;
        } else if new.max <= old.min {
            kept.max = size.max;
        } else {
            count.max = (size.max as f64 / old.min as f64).ceil() as u64;
        }
        if old.max == 0 {
            count.min = size.min.saturating_add(1);
            kept.min = size.min;
        } else if old.max <= new.min {
            kept.min = size.min;
        } else {
            count.min = (size.min as f64 / old.max as f64).ceil() as u64;
        }
        (size.scaled(2.0 * TRAVERSAL), Some(count.times(new).add(kept)))
    }

    fn comparison(&mut self, call: &Call, left: &Expr, right: &Expr) -> CostRange {
        let (a, b) = (self.checked.ty(left.id), self.checked.ty(right.id));
        let (left, right) = (self.size_or_unknown(left), self.size_or_unknown(right));
        if &*call.function == op::EQUALS && a == b {
            match a {
                Type::Opaque(name, _) if matches!(&**name, "net.IP" | "net.CIDR") => {
                    return CostRange::exactly(1);
                }
                Type::Object(object) => match &**object.name() {
                    "kubernetes.NamedFormat" => return CostRange { min: 1, max: 64 }.scaled(TRAVERSAL),
                    "kubernetes.URL" => return CostRange { min: 1, max: right.max }.scaled(TRAVERSAL),
                    name if name.starts_with("kubernetes.") => return CostRange::exactly(1),
                    _ => {}
                },
                _ => {}
            }
        }
        let max = left.max.min(right.max);
        CostRange { min: u64::from(max > 0), max }.scaled(TRAVERSAL)
    }

    fn sorted(&mut self, keys: &Expr) -> Estimate {
        let size = self.size_or_unknown(keys);
        let text = matches!(self.checked.ty(keys.id), Type::List(item) if matches!(**item, Type::String | Type::Bytes));
        new_list(if text { 2.0 + TRAVERSAL } else { 2.0 }, size.times(size))
    }
}

fn new_list(factor: f64, size: CostRange) -> Estimate {
    (size.scaled(factor).add(CostRange::exactly(1 + MAKE_LIST)), Some(size))
}

/// A number that is written out, or another one.
fn whole(expr: &Expr, otherwise: u64) -> u64 {
    match &expr.kind {
        Kind::Literal(Literal::Int(i)) => u64::try_from(*i).unwrap_or(0),
        _ => otherwise,
    }
}

fn is_scalar(ty: &Type) -> bool {
    match ty {
        Type::Bool | Type::Double | Type::Duration | Type::Int | Type::Timestamp | Type::Uint => true,
        other => other.optional_of().is_some_and(is_scalar),
    }
}
