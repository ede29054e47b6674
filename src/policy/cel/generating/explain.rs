//! How a GeneratingPolicy comes to make objects.

use std::sync::Arc;

use super::{Generations, Maker};
use crate::expr::cel::{Explainer, Value};
use crate::expr::explain::Steps;
use crate::policy::cel::condition::Condition;
use crate::policy::cel::explain::{Variables, explain_conditions};
use crate::policy::cel::inputs::{Around, Inputs};
use crate::policy::cel::library::Generator;
use crate::policy::request::Request;

impl Generations {
    /// The conditions, the variables, and the expressions that make objects.
    pub(crate) fn explain(&self, request: &Request<'_>, around: Around<'_>) -> Steps {
        around.answering(request, |around| self.explain_among(request, around))
    }

    fn explain_among(&self, request: &Request<'_>, around: Around<'_>) -> Steps {
        let variables = Variables::of(&self.variables);
        let conditions: Vec<Explainer> = self.conditions.iter().map(Condition::explainer).collect();
        let makers: Vec<Option<(String, Explainer)>> = self.makers.iter().map(Maker::taken).collect();
        let inputs = Inputs::among(request, around);
        let mut bindings = inputs.bindings(&self.variables);
        bindings.set("generator", Value::Opaque(Arc::new(Generator::of(around.namespace))));
        let mut steps = Steps::default();
        if !explain_conditions(&self.conditions, &conditions, &bindings, &mut steps) {
            return steps;
        }
        let texts: Vec<&str> = makers.iter().flatten().map(|(text, _)| text.as_str()).collect();
        variables.explain(&texts, &bindings, &mut steps);
        for (at, maker) in makers.iter().enumerate() {
            match maker {
                Some((_, explainer)) => {
                    steps.head(0, format!("expression {}", at + 1));
                    steps.append(1, explainer.steps(&bindings));
                }
                None => steps.head(0, format!("template {}", at + 1)),
            }
        }
        steps
    }
}

impl Maker {
    fn taken(&self) -> Option<(String, Explainer)> {
        match self {
            Maker::Expression(program) => Some((program.written(), program.explainer())),
            Maker::Template(_) => None,
        }
    }
}
