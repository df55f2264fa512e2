//! GROUPING SETS, CUBE and ROLLUP in windows: an aggregation for each set, over the same rows, and the union of their results.
//! A key that a set has not is NULL in its rows.

use super::call::shown;
use super::expr::Scope;
use super::window::calls;
use super::{Place, Rel, Translator, schema_of};
use crate::diagnostic::{Fault, Result};
use arrow_schema::{DataType, Field};
use datafusion_expr::utils::grouping_set_to_exprlist;
use datafusion_expr::{Aggregate as Grouping, GroupingSet};
use highwater_engine::expr::{Expr, Literal};
use highwater_engine::graph::Step;

impl Translator<'_> {
    pub(super) fn grouping_sets(&mut self, rel: Rel, sets: &GroupingSet, a: &Grouping, at: &Place) -> Result<Rel> {
        let GroupingSet::GroupingSets(sets) = sets else {
            let what = "CUBE and ROLLUP stand behind the columns of the window";
            return Err(Fault::new(what).hint("GROUP BY window_start, window_end, CUBE (a, b)"));
        };
        let schema = a.input.schema();
        let keys = grouping_set_to_exprlist(&a.group_expr).map_err(|e| Fault::new(e.strip_backtrace()))?;
        let field = |i: usize, name: String| a.schema.field(i).as_ref().clone().with_name(name);
        let mut fields: Vec<Field> = keys.iter().enumerate().map(|(i, e)| field(i, shown(e, schema))).collect();
        let (mut inputs, mut time) = (Vec::new(), Vec::new());
        for set in sets {
            let scope = Scope { schema, columns: &rel.columns, pseudo: rel.pseudo.as_ref() };
            let of =
                |e| keys.iter().position(|k| *k == e).map_or_else(|| shown(e, schema), |i| fields[i].name().clone());
            let mut groups = Vec::new();
            for e in set {
                let i = keys.iter().position(|k| *k == e).unwrap_or_default();
                groups.push((scope.expr(e)?, field(i, of(e))));
            }
            let calls = calls(a, &scope)?;
            let place = a.aggr_expr.iter().find_map(crate::checks::place);
            let one = self.grouped(rel.clone(), groups, calls, at).map_err(|f| f.at(place))?;
            fields.truncate(keys.len());
            fields.extend(one.fields[set.len()..].iter().cloned());
            let places: Vec<Option<usize>> = keys.iter().map(|k| set.iter().position(|e| e == *k)).collect();
            let column = |(i, place): (usize, &Option<usize>)| match place {
                Some(p) => one.columns[*p].clone(),
                None => Expr::Literal(Literal::Null(fields[i].data_type().clone())),
            };
            let columns = places.iter().enumerate().map(column).chain(one.columns[set.len()..].iter().cloned());
            let columns: Vec<Expr> = columns.collect();
            let times =
                places.iter().map(|p| p.is_some_and(|p| one.time[p])).chain(one.time[set.len()..].iter().copied());
            let times: Vec<bool> = times.collect();
            time =
                if time.is_empty() { times.clone() } else { time.iter().zip(&times).map(|(a, b)| *a && *b).collect() };
            let settled = self.settled(Rel { columns, fields: fields.clone(), time: times, ..one }, at)?;
            inputs.push(settled.node);
        }
        let node = self.node(&format!("{}.union", at.prefix), Step::Union, inputs, schema_of(fields));
        let mut rel = self.whole(node, None);
        rel.time = time;
        // the planner's number of the set, which GROUPING() would read
        rel.columns.insert(keys.len(), Expr::Literal(Literal::Null(DataType::Int64)));
        rel.fields.insert(keys.len(), Field::new(Grouping::INTERNAL_GROUPING_ID, DataType::Int64, true));
        rel.time.insert(keys.len(), false);
        Ok(rel)
    }
}
