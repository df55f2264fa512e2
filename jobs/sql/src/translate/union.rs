//! UNION ALL: rows of several relations of equal types.

use super::{Place, Rel, Translator, schema_of};
use crate::diagnostic::Result;
use arrow_schema::Field;
use datafusion_expr::{LogicalPlan, Union};
use highwater_engine::graph::{NodeId, Step};

impl Translator<'_> {
    pub(super) fn union(&mut self, u: &Union, at: &Place) -> Result<Rel> {
        let fields: Vec<Field> = u.schema.fields().iter().map(|f| f.as_ref().clone()).collect();
        let mut inputs = Vec::new();
        let mut time = vec![true; fields.len()];
        self.branches(u, &fields, at, &mut inputs, &mut time)?;
        let name = format!("{}.union", at.prefix);
        let node = self.node(&name, Step::Union, inputs, schema_of(fields));
        let mut rel = self.whole(node, None);
        rel.time = time;
        Ok(rel)
    }

    /// Each branch as a node of the union's schema; unions inside unions are flattened.
    fn branches(
        &mut self,
        u: &Union,
        fields: &[Field],
        at: &Place,
        inputs: &mut Vec<NodeId>,
        time: &mut [bool],
    ) -> Result<()> {
        for input in &u.inputs {
            if let LogicalPlan::Union(inner) = input.as_ref() {
                let same = inner.schema.fields().iter().zip(fields).all(|(a, b)| a.data_type() == b.data_type());
                if same {
                    self.branches(inner, fields, at, inputs, time)?;
                    continue;
                }
            }
            let rel = self.rel(input, at)?;
            time.iter_mut().zip(&rel.time).for_each(|(all, one)| *all &= one);
            let rel = Rel { fields: fields.to_vec(), pseudo: None, ..rel };
            inputs.push(self.settled(rel, at)?.node);
        }
        Ok(())
    }
}
