//! Which types fit where, and what type variables stand for.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::types::Type;

/// What is known of type variables. Attempts that fail leave no trace.
#[derive(Debug, Default)]
pub(crate) struct Inference {
    known: FxHashMap<Arc<str>, Type>,
    /// What was there before each change of the attempt under way.
    undo: Vec<(Arc<str>, Option<Type>)>,
    count: u32,
}

impl Inference {
    /// A new type variable.
    pub(crate) fn variable(&mut self) -> Type {
        let name = format!("_var{}", self.count);
        self.count += 1;
        Type::Param(name.into())
    }

    /// Whether a value of type `a` fits where `b` is asked for; learns from it if so.
    pub(crate) fn assignable(&mut self, a: &Type, b: &Type) -> bool {
        self.attempt(|this| this.fits(a, b))
    }

    pub(crate) fn assignable_all(&mut self, a: &[Type], b: &[Type]) -> bool {
        self.attempt(|this| this.all_fit(a, b))
    }

    fn attempt(&mut self, work: impl FnOnce(&mut Self) -> bool) -> bool {
        self.undo.clear();
        let fits = work(self);
        if !fits {
            while let Some((name, before)) = self.undo.pop() {
                match before {
                    Some(before) => self.known.insert(name, before),
                    None => self.known.remove(&name),
                };
            }
        }
        fits
    }

    fn learn(&mut self, variable: &Type, is: Type) {
        if let Type::Param(name) = variable {
            let before = self.known.insert(name.clone(), is);
            self.undo.push((name.clone(), before));
        }
    }

    fn find(&self, ty: &Type) -> Option<&Type> {
        match ty {
            Type::Param(name) => self.known.get(name),
            _ => None,
        }
    }

    fn fits(&mut self, a: &Type, b: &Type) -> bool {
        if matches!(b, Type::Param(_)) {
            let (valid, had) = self.substitutes(a, b);
            if valid {
                return true;
            }
            if had {
                return false;
            }
        }
        if matches!(a, Type::Param(_)) {
            return self.substitutes(b, a).0;
        }
        if a.is_dyn_or_error() || b.is_dyn_or_error() {
            return true;
        }
        match (a, b) {
            (Type::Null, other) | (other, Type::Null) => nullable(other),
            (Type::Type(_), Type::Type(_)) => true,
            (Type::List(a), Type::List(b)) => self.fits(a, b),
            (Type::Map(a), Type::Map(b)) => self.fits(&a.0, &b.0) && self.fits(&a.1, &b.1),
            (Type::Opaque(a, of_a), Type::Opaque(b, of_b)) => a == b && self.all_fit(of_a, of_b),
            (a, b) => a == b,
        }
    }

    fn all_fit(&mut self, a: &[Type], b: &[Type]) -> bool {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| self.fits(a, b))
    }

    /// Whether `ty` can stand for `variable`, and whether something already does.
    fn substitutes(&mut self, ty: &Type, variable: &Type) -> (bool, bool) {
        if ty == variable {
            return (true, true);
        }
        if let Some(known) = self.find(variable).cloned() {
            if *ty == known {
                return (true, true);
            }
            if self.fits(ty, &known) {
                let general = if less_specific(ty, &known) { ty.clone() } else { known };
                if self.is_free_in(variable, &general) {
                    self.learn(variable, general);
                }
                return (true, true);
            }
            return (false, true);
        }
        if self.is_free_in(variable, ty) {
            self.learn(variable, ty.clone());
            return (true, false);
        }
        (false, false)
    }

    /// Whether a variable does not occur in a type that is to stand for it.
    fn is_free_in(&self, variable: &Type, within: &Type) -> bool {
        if variable == within {
            return false;
        }
        match within {
            Type::Param(_) => self.find(within).is_none_or(|known| self.is_free_in(variable, known)),
            Type::List(item) => self.is_free_in(variable, item),
            Type::Map(pair) => self.is_free_in(variable, &pair.0) && self.is_free_in(variable, &pair.1),
            Type::Type(Some(of)) => self.is_free_in(variable, of),
            Type::Opaque(_, of) => of.iter().all(|of| self.is_free_in(variable, of)),
            _ => true,
        }
    }

    /// The type with what is known of its variables put in; the rest becomes `dyn` if `finally`.
    pub(crate) fn substitute(&self, ty: &Type, finally: bool) -> Type {
        if let Some(known) = self.find(ty) {
            return self.substitute(known, finally);
        }
        match ty {
            Type::Param(_) if finally => Type::Dyn,
            Type::List(item) => Type::list(self.substitute(item, finally)),
            Type::Map(pair) => {
                Type::map(self.substitute(&pair.0, finally), self.substitute(&pair.1, finally))
            }
            Type::Type(Some(of)) => Type::Type(Some(Arc::new(self.substitute(of, finally)))),
            Type::Opaque(name, of) if !of.is_empty() => {
                Type::Opaque(name.clone(), of.iter().map(|of| self.substitute(of, finally)).collect())
            }
            other => other.clone(),
        }
    }
}

/// Whether `null` is a value of a type.
fn nullable(ty: &Type) -> bool {
    matches!(ty, Type::Null | Type::Opaque(..) | Type::Object(_) | Type::Duration | Type::Timestamp)
}

/// Whether `a` says the same as `b` or less.
pub(crate) fn less_specific(a: &Type, b: &Type) -> bool {
    if matches!(a, Type::Dyn | Type::Param(_)) {
        return true;
    }
    match (a, b) {
        (_, Type::Dyn | Type::Param(_)) => false,
        (Type::Opaque(a, of_a), Type::Opaque(b, of_b)) => {
            a == b && of_a.len() == of_b.len() && of_a.iter().zip(&**of_b).all(|(a, b)| less_specific(a, b))
        }
        (Type::List(a), Type::List(b)) => less_specific(a, b),
        (Type::Map(a), Type::Map(b)) => less_specific(&a.0, &b.0) && less_specific(&a.1, &b.1),
        (Type::Type(_), Type::Type(_)) => true,
        (a, b) => a == b,
    }
}
