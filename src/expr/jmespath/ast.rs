//! The tree of a compiled expression.

use serde_json::Value;

/// A node and how deep the tree below it is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ast {
    pub(crate) kind: Kind,
    pub(crate) depth: u16,
}

/// How two values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparator {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

/// A piece of a text whose other pieces are filled in at evaluation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    Text(String),
    Slot(usize),
}

/// What a node does.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    Identity,
    Field(String),
    /// A quoted field name with filled-in pieces.
    FieldPieces(Vec<Piece>),
    Literal(Value),
    /// A raw string with filled-in pieces.
    TextPieces(Vec<Piece>),
    /// A JSON literal that is one filled-in value.
    SlotLiteral(usize),
    Index(i64),
    Slice([Option<i64>; 3]),
    /// The right side, seen from the left side's value.
    Then(Box<Ast>, Box<Ast>),
    Pipe(Box<Ast>, Box<Ast>),
    Projection(Box<Ast>, Box<Ast>),
    ValueProjection(Box<Ast>, Box<Ast>),
    Filter {
        of: Box<Ast>,
        then: Box<Ast>,
        condition: Box<Ast>,
    },
    Flatten(Box<Ast>),
    Or(Box<Ast>, Box<Ast>),
    And(Box<Ast>, Box<Ast>),
    Not(Box<Ast>),
    Compare(Comparator, Box<Ast>, Box<Ast>),
    List(Vec<Ast>),
    Hash(Vec<(String, Ast)>),
    Call {
        name: String,
        arguments: Vec<Ast>,
    },
    Reference(Box<Ast>),
}
