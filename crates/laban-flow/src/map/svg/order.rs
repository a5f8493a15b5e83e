//! The order within columns, with few crossings: each box is moved towards the middle of its neighbours, to and fro.

use super::layers::Layers;

/// Enough for a few hundred boxes; more change little.
const SWEEPS: usize = 24;

/// Neighbours to the left and to the right of each box.
pub(super) struct Neighbours {
    pub(super) left: Vec<Vec<usize>>,
    pub(super) right: Vec<Vec<usize>>,
}

impl Neighbours {
    pub(super) fn of(layers: &Layers) -> Self {
        let mut found = Self { left: vec![Vec::new(); layers.nodes], right: vec![Vec::new(); layers.nodes] };
        for pair in layers.routes.iter().flat_map(|route| route.nodes.windows(2)) {
            found.right[pair[0]].push(pair[1]);
            found.left[pair[1]].push(pair[0]);
        }
        found
    }
}

/// Orders the columns.
pub(super) fn order(layers: &mut Layers, neighbours: &Neighbours) {
    let mut best = (crossings(&layers.columns, neighbours, layers.nodes), layers.columns.clone());
    for sweep in 0..SWEEPS {
        let rightwards = sweep % 2 == 0;
        let count = layers.columns.len();
        for step in 1..count {
            let (column, beside) =
                if rightwards { (step, step - 1) } else { (count - 1 - step, count - step) };
            let place = places(&layers.columns[beside], layers.nodes);
            let near = if rightwards { &neighbours.left } else { &neighbours.right };
            arrange(&mut layers.columns[column], &place, near);
        }
        let crossed = crossings(&layers.columns, neighbours, layers.nodes);
        if crossed < best.0 {
            best = (crossed, layers.columns.clone());
        }
    }
    layers.columns = best.1;
}

/// Where each box of a column is; boxes of other columns are nowhere.
fn places(column: &[usize], nodes: usize) -> Vec<Option<usize>> {
    let mut place = vec![None; nodes];
    column.iter().enumerate().for_each(|(index, node)| place[*node] = Some(index));
    place
}

/// Sorts by the middle of the neighbours. Who has none stays where it is.
#[allow(clippy::cast_precision_loss, reason = "columns are short")]
fn arrange(column: &mut Vec<usize>, place: &[Option<usize>], near: &[Vec<usize>]) {
    let middle = |(index, node): (usize, &usize)| {
        let places: Vec<usize> = near[*node].iter().filter_map(|other| place[*other]).collect();
        match places.len() {
            0 => index as f64,
            many => places.iter().sum::<usize>() as f64 / many as f64,
        }
    };
    let mut keyed: Vec<(f64, usize)> = column.iter().enumerate().map(|at| (middle(at), *at.1)).collect();
    keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
    *column = keyed.into_iter().map(|(_, node)| node).collect();
}

fn crossings(columns: &[Vec<usize>], neighbours: &Neighbours, nodes: usize) -> usize {
    let mut crossed = 0;
    for pair in columns.windows(2) {
        let place = places(&pair[1], nodes);
        let mut ends: Vec<usize> = Vec::new();
        for node in &pair[0] {
            let mut own: Vec<usize> = neighbours.right[*node].iter().filter_map(|to| place[*to]).collect();
            own.sort_unstable();
            crossed += own.iter().map(|end| ends.iter().filter(|other| *other > end).count()).sum::<usize>();
            ends.append(&mut own);
        }
    }
    crossed
}

#[cfg(test)]
mod tests {
    use super::super::layers::Graph;
    use super::*;

    #[test]
    fn what_can_be_drawn_without_crossings_is() {
        let graph = Graph { boxes: 6, edges: vec![(0, 5), (1, 4), (2, 3)] };
        let mut layers = Layers::of(&graph);
        let neighbours = Neighbours::of(&layers);
        assert_eq!(crossings(&layers.columns, &neighbours, layers.nodes), 3);
        order(&mut layers, &neighbours);
        assert_eq!(crossings(&layers.columns, &neighbours, layers.nodes), 0);
    }
}
