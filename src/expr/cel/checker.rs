//! Type checking: what every node's type is, which overloads a call may mean, and what is wrong.

use std::sync::Arc;

use super::ast::{Ast, Call, Expr, Fold, Id, Kind, Literal, op};
use super::env::{Env, Function, Name, Overload};
use super::error::{CompileError, Mistakes};
use super::infer::{Inference, less_specific};
use super::types::{ObjectType, Type};

/// A checked tree.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) ast: Ast,
    types: Vec<Option<Type>>,
    references: Vec<Reference>,
}

/// What a node refers to.
#[derive(Debug, Clone, Default)]
pub(crate) enum Reference {
    #[default]
    None,
    /// A variable, by its full name.
    Variable(Arc<str>),
    /// A type.
    Type(Type),
    /// A function's overloads that fit, and whether it is called with its target as a mere qualifier of its name.
    Overloads(Vec<Arc<Overload>>, Option<Arc<str>>),
}

impl Checked {
    pub(crate) fn ty(&self, id: Id) -> &Type {
        self.types.get(id as usize).and_then(Option::as_ref).unwrap_or(&Type::Dyn)
    }

    pub(crate) fn reference(&self, id: Id) -> &Reference {
        &self.references[id as usize]
    }
}

/// Checks a tree.
pub(crate) fn check(env: &Env, ast: Ast, text: &str) -> Result<Checked, CompileError> {
    let count = ast.places.len();
    let mut checker = Checker {
        env,
        ast: &ast,
        types: vec![None; count],
        references: vec![Reference::None; count],
        inference: Inference::default(),
        locals: Vec::new(),
        mistakes: Mistakes::default(),
    };
    checker.check(&ast.root);
    let Checker { mut types, references, inference, mistakes, .. } = checker;
    if !mistakes.is_empty() {
        return Err(mistakes.into_error(text));
    }
    for ty in types.iter_mut().flatten() {
        *ty = inference.substitute(ty, true);
    }
    Ok(Checked { ast, types, references })
}

struct Checker<'e> {
    env: &'e Env,
    ast: &'e Ast,
    types: Vec<Option<Type>>,
    references: Vec<Reference>,
    inference: Inference,
    /// Variables of the macros around.
    locals: Vec<(Arc<str>, Type)>,
    mistakes: Mistakes,
}

impl Checker<'_> {
    fn report(&mut self, id: Id, message: String) {
        self.mistakes.report(self.ast.place(id), message);
    }

    fn set(&mut self, id: Id, ty: Type) {
        self.types[id as usize] = Some(ty);
    }

    fn get(&self, expr: &Expr) -> Type {
        self.types[expr.id as usize].clone().unwrap_or(Type::Dyn)
    }

    fn mismatch(&mut self, id: Id, expected: &Type, found: &Type) {
        self.report(id, format!("expected type '{expected}' but found '{found}'"));
    }

    fn undeclared(&mut self, id: Id, name: &str) {
        self.set(id, Type::Error);
        self.report(id, format!("undeclared reference to '{name}' (in container '')"));
    }

    fn check(&mut self, expr: &Expr) {
        match &expr.kind {
            Kind::Literal(literal) => self.set(expr.id, literal_type(literal)),
            Kind::Ident(name) => {
                if !self.look_up(expr.id, name) {
                    self.undeclared(expr.id, name);
                }
            }
            Kind::Select { operand, field, test } => self.select(expr, operand, field, *test),
            Kind::Call(call) => self.call(expr, call),
            Kind::List(_) => self.list(expr),
            Kind::Map(_) => self.map(expr),
            Kind::Struct(..) => self.message(expr),
            Kind::Fold(fold) => self.fold(expr, fold),
        }
    }

    /// Whether a name means something; if so, notes what.
    fn look_up(&mut self, id: Id, name: &str) -> bool {
        let name = name.strip_prefix('.').unwrap_or(name);
        if let Some((name, ty)) = self.locals.iter().rev().find(|(local, _)| **local == *name) {
            let (name, ty) = (name.clone(), ty.clone());
            self.set(id, ty);
            self.references[id as usize] = Reference::Variable(name);
            return true;
        }
        match self.env.name(name) {
            Some(Name::Variable(ty)) => {
                let ty = ty.clone();
                self.set(id, ty);
                self.references[id as usize] = Reference::Variable(name.into());
            }
            Some(Name::Type(ty)) => {
                let ty = ty.clone();
                self.set(id, Type::Type(Some(Arc::new(ty.clone()))));
                self.references[id as usize] = Reference::Type(ty);
            }
            None => return false,
        }
        true
    }

    fn select(&mut self, expr: &Expr, operand: &Expr, field: &str, test: bool) {
        if !test
            && let Some(name) = expr.qualified_name()
            && self.look_up(expr.id, &name)
        {
            return;
        }
        let mut result = self.field(expr.id, operand, field, false);
        if test {
            result = Type::Bool;
        }
        let result = self.inference.substitute(&result, false);
        self.set(expr.id, result);
    }

    /// The type of a field of an operand.
    fn field(&mut self, id: Id, operand: &Expr, field: &str, optional: bool) -> Type {
        self.check(operand);
        let operand_type = self.inference.substitute(&self.get(operand), false);
        let (target, was_optional) = match operand_type.optional_of() {
            Some(of) => (of.clone(), true),
            None => (operand_type, false),
        };
        let result = match &target {
            Type::Map(pair) => pair.1.clone(),
            Type::Object(object) => match object.field(field).or_else(|| self.named_field(object, field)) {
                Some(ty) => ty,
                None => {
                    self.report(id, format!("undefined field '{field}'"));
                    Type::Error
                }
            },
            Type::Param(_) => {
                self.inference.assignable(&Type::Dyn, &target);
                Type::Dyn
            }
            other => {
                if !other.is_dyn_or_error() {
                    self.report(id, format!("type '{other}' does not support field selection"));
                }
                Type::Dyn
            }
        };
        if was_optional || optional { Type::optional(result) } else { result }
    }

    /// The type of a field of a type that a signature knows by its name alone.
    fn named_field(&self, object: &ObjectType, field: &str) -> Option<Type> {
        match self.env.name(object.name())? {
            Name::Type(Type::Object(known)) => known.field(field),
            _ => None,
        }
    }

    fn call(&mut self, expr: &Expr, call: &Call) {
        if &*call.function == op::OPT_SELECT {
            return self.optional_select(expr, call);
        }
        for arg in &call.args {
            self.check(arg);
        }
        let name = &call.function;
        let Some(target) = &call.target else {
            return match self.env.function(name.strip_prefix('.').unwrap_or(name)) {
                Some(function) => self.resolve(expr.id, &function, None, &call.args),
                None => self.undeclared(expr.id, name),
            };
        };
        // `a.b.f(x)` may be the function `a.b.f`.
        if let Some(prefix) = target.qualified_name() {
            let full = format!("{}.{name}", prefix.strip_prefix('.').unwrap_or(&prefix));
            if let Some(function) = self.env.function(&full) {
                return self.resolve(expr.id, &function, None, &call.args);
            }
        }
        self.check(target);
        match self.env.function(name) {
            Some(function) => self.resolve(expr.id, &function, Some(target), &call.args),
            None => self.undeclared(expr.id, name),
        }
    }

    fn optional_select(&mut self, expr: &Expr, call: &Call) {
        if let [operand, field] = &call.args[..]
            && let Kind::Literal(Literal::String(name)) = &field.kind
        {
            let result = self.field(expr.id, operand, name, true);
            let result = self.inference.substitute(&result, false);
            self.set(expr.id, result);
            if let Some(function) = self.env.function(op::OPT_SELECT) {
                self.references[expr.id as usize] = Reference::Overloads(function.overloads.clone(), None);
            }
        }
    }

    /// Finds the overloads of a function that fit.
    fn resolve(&mut self, id: Id, function: &Arc<Function>, target: Option<&Expr>, args: &[Expr]) {
        let mut types: Vec<Type> = target.into_iter().chain(args).map(|arg| self.get(arg)).collect();
        if matches!(&*function.name, op::AND | op::OR) {
            return self.logical(id, function, args, &types);
        }
        let mut result: Option<Type> = None;
        let mut fitting = Vec::new();
        for overload in function.overloads.iter().filter(|o| o.signature.member == target.is_some()) {
            let (arguments, overload_result) = self.instantiate(overload);
            if !self.inference.assignable_all(&types, &arguments) {
                continue;
            }
            fitting.push(overload.clone());
            let ty = self.inference.substitute(&overload_result, false);
            result = Some(match result {
                None => ty,
                Some(Type::Dyn) => Type::Dyn,
                Some(before) if before == ty => before,
                Some(_) => Type::Dyn,
            });
        }
        match result {
            Some(result) => {
                self.set(id, result);
                let qualified = target.is_none().then(|| function.name.clone());
                self.references[id as usize] = Reference::Overloads(fitting, qualified);
            }
            None => {
                for ty in &mut types {
                    *ty = self.inference.substitute(ty, true);
                }
                self.no_overload(id, &function.name, &types, target.is_some());
            }
        }
    }

    fn no_overload(&mut self, id: Id, name: &str, types: &[Type], member: bool) {
        let mut signature = String::new();
        let mut types = types.iter();
        if member && let Some(target) = types.next() {
            signature = format!("{target}.");
        }
        let arguments: Vec<String> = types.map(Type::to_string).collect();
        signature.push_str(&format!("({})", arguments.join(", ")));
        self.set(id, Type::Error);
        self.report(id, format!("found no matching overload for '{name}' applied to '{signature}'"));
    }

    fn logical(&mut self, id: Id, function: &Arc<Function>, args: &[Expr], types: &[Type]) {
        let mut fits = true;
        for (arg, ty) in args.iter().zip(types) {
            if !self.inference.assignable(ty, &Type::Bool) {
                self.mismatch(arg.id, &Type::Bool, ty);
                fits = false;
            }
        }
        self.set(id, if fits { Type::Bool } else { Type::Error });
        self.references[id as usize] = Reference::Overloads(function.overloads.clone(), None);
    }

    /// An overload's types, with fresh variables for its type parameters.
    fn instantiate(&mut self, overload: &Overload) -> (Vec<Type>, Type) {
        let signature = &overload.signature;
        if signature.parameters.is_empty() {
            return (signature.arguments.clone(), signature.result.clone());
        }
        let fresh: Vec<(Arc<str>, Type)> =
            signature.parameters.iter().map(|name| (name.clone(), self.inference.variable())).collect();
        (
            signature.arguments.iter().map(|ty| replace(ty, &fresh)).collect(),
            replace(&signature.result, &fresh),
        )
    }

    /// The type that fits what came before and this. Mixed types are refused later, where they may not be.
    fn join(&mut self, before: Option<Type>, ty: Type) -> Type {
        let Some(before) = before else { return ty };
        if self.inference.assignable(&before, &ty) {
            return if less_specific(&before, &ty) { before } else { ty };
        }
        Type::Dyn
    }

    /// What an optional item or entry holds.
    fn unwrap_optional(&mut self, id: Id, ty: Type) -> Type {
        match ty.optional_of() {
            Some(of) => of.clone(),
            None => {
                if ty != Type::Dyn {
                    self.mismatch(id, &Type::optional(ty.clone()), &ty);
                }
                ty
            }
        }
    }

    fn list(&mut self, expr: &Expr) {
        let Kind::List(items) = &expr.kind else { return };
        let mut item_type = None;
        for item in items {
            self.check(&item.value);
            let mut ty = self.get(&item.value);
            if item.optional {
                ty = self.unwrap_optional(item.value.id, ty);
            }
            item_type = Some(self.join(item_type, ty));
        }
        let item_type = item_type.unwrap_or_else(|| self.inference.variable());
        self.set(expr.id, Type::list(item_type));
    }

    fn map(&mut self, expr: &Expr) {
        let Kind::Map(entries) = &expr.kind else { return };
        let (mut key_type, mut value_type) = (None, None);
        for entry in entries {
            self.check(&entry.key);
            let ty = self.get(&entry.key);
            key_type = Some(self.join(key_type, ty));
            self.check(&entry.value);
            let mut ty = self.get(&entry.value);
            if entry.optional {
                ty = self.unwrap_optional(entry.value.id, ty);
            }
            value_type = Some(self.join(value_type, ty));
        }
        let key_type = key_type.unwrap_or_else(|| self.inference.variable());
        let value_type = value_type.unwrap_or_else(|| self.inference.variable());
        self.set(expr.id, Type::map(key_type, value_type));
    }

    fn message(&mut self, expr: &Expr) {
        let Kind::Struct(name, fields) = &expr.kind else { return };
        let ty = match self.env.name(name.strip_prefix('.').unwrap_or(name)) {
            Some(Name::Type(ty @ Type::Object(_))) => ty.clone(),
            Some(Name::Type(ty)) => {
                let message = format!("'{}' is not a message type", ty.name());
                self.report(expr.id, message);
                Type::Error
            }
            Some(Name::Variable(ty)) => {
                let message = format!("'{}' is not a type", ty.name());
                self.report(expr.id, message);
                Type::Error
            }
            None => return self.undeclared(expr.id, name),
        };
        self.set(expr.id, ty.clone());
        self.references[expr.id as usize] = Reference::Type(ty.clone());
        for field in fields {
            self.check(&field.value);
            let expected = match &ty {
                Type::Object(object) => object.field(&field.name),
                _ => Some(Type::Error),
            };
            let expected = expected.unwrap_or_else(|| {
                self.report(field.id, format!("undefined field '{}'", field.name));
                Type::Error
            });
            let mut found = self.get(&field.value);
            if field.optional {
                found = self.unwrap_optional(field.value.id, found);
            }
            if !self.inference.assignable(&expected, &found) {
                let message = format!(
                    "expected type of field '{}' is '{expected}' but provided type is '{found}'",
                    field.name
                );
                self.report(field.id, message);
            }
        }
    }

    fn fold(&mut self, expr: &Expr, fold: &Fold) {
        self.check(&fold.range);
        self.check(&fold.init);
        let range = self.inference.substitute(&self.get(&fold.range), false);
        let accumulator = self.get(&fold.init);
        let depth = self.locals.len();
        self.locals.push((fold.accumulator.clone(), accumulator.clone()));
        let two = fold.second.is_some();
        let (first, second) = match &range {
            Type::List(item) if two => (Type::Int, (**item).clone()),
            Type::List(item) => ((**item).clone(), Type::Dyn),
            Type::Map(pair) => (pair.0.clone(), pair.1.clone()),
            Type::Dyn | Type::Error | Type::Param(_) => {
                self.inference.assignable(&Type::Dyn, &range);
                (Type::Dyn, Type::Dyn)
            }
            other => {
                let message = format!(
                    "expression of type '{other}' cannot be range of a comprehension (must be list, map, or dynamic)"
                );
                self.report(fold.range.id, message);
                (Type::Error, Type::Error)
            }
        };
        self.locals.push((fold.variable.clone(), first));
        if let Some(name) = &fold.second {
            self.locals.push((name.clone(), second));
        }
        self.check(&fold.condition);
        self.assert(&fold.condition, &Type::Bool);
        self.check(&fold.step);
        self.assert(&fold.step, &accumulator);
        self.locals.truncate(depth + 1);
        self.check(&fold.result);
        self.locals.truncate(depth);
        let ty = self.inference.substitute(&self.get(&fold.result), false);
        self.set(expr.id, ty);
    }

    fn assert(&mut self, expr: &Expr, expected: &Type) {
        let found = self.get(expr);
        if !self.inference.assignable(expected, &found) {
            self.mismatch(expr.id, expected, &found);
        }
    }
}

fn literal_type(literal: &Literal) -> Type {
    match literal {
        Literal::Null => Type::Null,
        Literal::Bool(_) => Type::Bool,
        Literal::Int(_) => Type::Int,
        Literal::Uint(_) => Type::Uint,
        Literal::Double(_) => Type::Double,
        Literal::String(_) => Type::String,
        Literal::Bytes(_) => Type::Bytes,
    }
}

/// A type with other types in place of its parameters.
fn replace(ty: &Type, by: &[(Arc<str>, Type)]) -> Type {
    match ty {
        Type::Param(name) => {
            by.iter().find(|(n, _)| n == name).map_or_else(|| ty.clone(), |(_, ty)| ty.clone())
        }
        Type::List(item) => Type::list(replace(item, by)),
        Type::Map(pair) => Type::map(replace(&pair.0, by), replace(&pair.1, by)),
        Type::Type(Some(of)) => Type::Type(Some(Arc::new(replace(of, by)))),
        Type::Opaque(name, of) if !of.is_empty() => {
            Type::Opaque(name.clone(), of.iter().map(|of| replace(of, by)).collect())
        }
        other => other.clone(),
    }
}
