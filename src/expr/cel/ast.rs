//! The syntax tree. Every node has an id; what is known of it (place, type, reference) is kept in tables by id.

use std::sync::Arc;

/// A node's number.
pub(crate) type Id = u32;

/// A node.
#[derive(Debug, Clone)]
pub(crate) struct Expr {
    pub(crate) id: Id,
    pub(crate) kind: Kind,
}

/// What a node is.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Literal(Literal),
    Ident(Arc<str>),
    /// `operand.field`, or whether that is there (`has(operand.field)`).
    Select {
        operand: Box<Expr>,
        field: Arc<str>,
        test: bool,
    },
    Call(Box<Call>),
    List(Vec<Item>),
    Map(Vec<Entry>),
    Struct(Arc<str>, Vec<FieldInit>),
    Fold(Box<Fold>),
}

/// A value written out.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Literal {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    String(Arc<str>),
    Bytes(Arc<[u8]>),
}

#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) function: Arc<str>,
    pub(crate) target: Option<Expr>,
    pub(crate) args: Vec<Expr>,
}

/// An item of a list; `[?item]` is left out if it is absent.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) optional: bool,
    pub(crate) value: Expr,
}

#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: Expr,
    pub(crate) value: Expr,
    pub(crate) optional: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct FieldInit {
    pub(crate) id: Id,
    pub(crate) name: Arc<str>,
    pub(crate) value: Expr,
    pub(crate) optional: bool,
}

/// What a macro makes: a loop over `range`. The parts that every loop of its `shape` has are written out as well, since
/// types and costs are worked out from them; only `body` and `filter` are the user's.
#[derive(Debug, Clone)]
pub(crate) struct Fold {
    pub(crate) shape: Shape,
    pub(crate) range: Expr,
    pub(crate) variable: Arc<str>,
    /// The value's variable where `variable` is the index or key.
    pub(crate) second: Option<Arc<str>>,
    pub(crate) accumulator: Arc<str>,
    pub(crate) init: Expr,
    pub(crate) condition: Expr,
    pub(crate) step: Expr,
    pub(crate) result: Expr,
}

/// Which macro a loop is of; it says how `step` is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    All,
    Exists,
    ExistsOne,
    /// `@result + [body]`, with `filter ? … : @result` around it if there is a filter.
    List {
        filtered: bool,
    },
    /// `cel.@mapInsert(@result, key, body)` or `cel.@mapInsert(@result, body)`.
    Map {
        filtered: bool,
        entry: bool,
    },
    /// No loop: `init` gets a name in `result`.
    Bind,
}

/// The variable in which a loop gathers.
pub(crate) const ACCUMULATOR: &str = "@result";

/// Names of operators, which are functions.
pub(crate) mod op {
    pub(crate) const CONDITIONAL: &str = "_?_:_";
    pub(crate) const AND: &str = "_&&_";
    pub(crate) const OR: &str = "_||_";
    pub(crate) const NOT: &str = "!_";
    pub(crate) const EQUALS: &str = "_==_";
    pub(crate) const NOT_EQUALS: &str = "_!=_";
    pub(crate) const LESS: &str = "_<_";
    pub(crate) const LESS_EQUALS: &str = "_<=_";
    pub(crate) const GREATER: &str = "_>_";
    pub(crate) const GREATER_EQUALS: &str = "_>=_";
    pub(crate) const ADD: &str = "_+_";
    pub(crate) const SUBTRACT: &str = "_-_";
    pub(crate) const MULTIPLY: &str = "_*_";
    pub(crate) const DIVIDE: &str = "_/_";
    pub(crate) const MODULO: &str = "_%_";
    pub(crate) const NEGATE: &str = "-_";
    pub(crate) const INDEX: &str = "_[_]";
    pub(crate) const OPT_INDEX: &str = "_[?_]";
    pub(crate) const OPT_SELECT: &str = "_?._";
    pub(crate) const IN: &str = "@in";
    pub(crate) const NOT_STRICTLY_FALSE: &str = "@not_strictly_false";
    pub(crate) const MAP_INSERT: &str = "cel.@mapInsert";
    pub(crate) const SORT_BY: &str = "@sortByAssociatedKeys";
}

/// A parsed text: its tree and where its nodes begin.
#[derive(Debug, Clone)]
pub(crate) struct Ast {
    pub(crate) root: Expr,
    /// Where each node begins, in characters from the start of the text.
    pub(crate) places: Vec<u32>,
}

impl Ast {
    pub(crate) fn place(&self, id: Id) -> u32 {
        self.places.get(id as usize).copied().unwrap_or(0)
    }
}

impl Expr {
    /// `a.b.c` as one name, if it is nothing but names.
    pub(crate) fn qualified_name(&self) -> Option<String> {
        match &self.kind {
            Kind::Ident(name) => Some(name.to_string()),
            Kind::Select { operand, field, test: false } => {
                let mut name = operand.qualified_name()?;
                name.push('.');
                name.push_str(field);
                Some(name)
            }
            _ => None,
        }
    }

    /// How many nodes stand above each other.
    pub(crate) fn depth(&self) -> usize {
        let of = |exprs: &mut dyn Iterator<Item = &Expr>| exprs.map(Expr::depth).max().unwrap_or(0);
        1 + match &self.kind {
            Kind::Literal(_) | Kind::Ident(_) => 0,
            Kind::Select { operand, .. } => operand.depth(),
            Kind::Call(call) => of(&mut call.target.iter().chain(&call.args)),
            Kind::List(items) => of(&mut items.iter().map(|item| &item.value)),
            Kind::Map(entries) => of(&mut entries.iter().flat_map(|entry| [&entry.key, &entry.value])),
            Kind::Struct(_, fields) => of(&mut fields.iter().map(|field| &field.value)),
            Kind::Fold(fold) => of(&mut [&fold.range, &fold.init, &fold.step, &fold.result].into_iter()),
        }
    }

    /// Calls `visit` with this node and all below, parents first.
    pub(crate) fn walk<'e>(&'e self, visit: &mut dyn FnMut(&'e Expr)) {
        visit(self);
        match &self.kind {
            Kind::Literal(_) | Kind::Ident(_) => {}
            Kind::Select { operand, .. } => operand.walk(visit),
            Kind::Call(call) => {
                call.target.iter().for_each(|target| target.walk(visit));
                call.args.iter().for_each(|arg| arg.walk(visit));
            }
            Kind::List(items) => items.iter().for_each(|item| item.value.walk(visit)),
            Kind::Map(entries) => entries.iter().for_each(|entry| {
                entry.key.walk(visit);
                entry.value.walk(visit);
            }),
            Kind::Struct(_, fields) => fields.iter().for_each(|field| field.value.walk(visit)),
            Kind::Fold(fold) => {
                for part in [&fold.range, &fold.init, &fold.condition, &fold.step, &fold.result] {
                    part.walk(visit);
                }
            }
        }
    }
}
