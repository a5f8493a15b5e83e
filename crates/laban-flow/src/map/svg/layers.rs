//! Which column each box goes into, and stand-ins where an edge passes a column.

/// A drawing without places yet: boxes by index, and edges between them.
pub(super) struct Graph {
    /// How many boxes there are; stand-ins come after them.
    pub(super) boxes: usize,
    pub(super) edges: Vec<(usize, usize)>,
}

/// Boxes and stand-ins in columns.
pub(super) struct Layers {
    /// In each column, from top to bottom.
    pub(super) columns: Vec<Vec<usize>>,
    /// For each edge all that it passes, both ends included, from left to right; and whether the edge points to the left.
    pub(super) routes: Vec<Route>,
    /// Boxes and stand-ins.
    pub(super) nodes: usize,
}

pub(super) struct Route {
    pub(super) nodes: Vec<usize>,
    pub(super) backwards: bool,
}

impl Layers {
    pub(super) fn of(graph: &Graph) -> Self {
        let backwards = backwards(graph);
        let forward = |index: usize| {
            let (from, to) = graph.edges[index];
            if backwards[index] { (to, from) } else { (from, to) }
        };
        let edges: Vec<_> = (0..graph.edges.len()).map(forward).collect();
        let column = columns_of(graph.boxes, &edges);
        let mut columns = vec![Vec::new(); column.iter().max().map_or(0, |last| last + 1)];
        for (node, column) in column.iter().enumerate() {
            columns[*column].push(node);
        }
        let mut nodes = graph.boxes;
        let mut routes = Vec::new();
        for (index, (from, to)) in edges.iter().enumerate() {
            let mut passed = vec![*from];
            for between in &mut columns[column[*from] + 1..column[*to].max(column[*from] + 1)] {
                between.push(nodes);
                passed.push(nodes);
                nodes += 1;
            }
            passed.push(*to);
            routes.push(Route { nodes: passed, backwards: backwards[index] });
        }
        Self { columns, routes, nodes }
    }
}

/// The edges that close a circle, found by walking from each box in turn; from those that nothing leads to, first.
fn backwards(graph: &Graph) -> Vec<bool> {
    let mut out = vec![Vec::new(); graph.boxes];
    let mut has_cause = vec![false; graph.boxes];
    for (index, (from, to)) in graph.edges.iter().enumerate() {
        out[*from].push(index);
        has_cause[*to] = true;
    }
    let mut backwards = vec![false; graph.edges.len()];
    let (mut seen, mut open) = (vec![false; graph.boxes], vec![false; graph.boxes]);
    let mut starts: Vec<usize> = (0..graph.boxes).collect();
    starts.sort_by_key(|node| has_cause[*node]);
    for start in starts {
        if std::mem::replace(&mut seen[start], true) {
            continue;
        }
        // The box, and how many of its edges are walked.
        let mut path = vec![(start, 0)];
        open[start] = true;
        while let Some((node, walked)) = path.last_mut() {
            let Some(edge) = out[*node].get(*walked).copied() else {
                open[*node] = false;
                path.pop();
                continue;
            };
            *walked += 1;
            let next = graph.edges[edge].1;
            backwards[edge] = open[next];
            if !std::mem::replace(&mut seen[next], true) {
                open[next] = true;
                path.push((next, 0));
            }
        }
    }
    backwards
}

/// Each box one column after the last of what leads to it; what nothing leads to, right before what it leads to.
fn columns_of(boxes: usize, edges: &[(usize, usize)]) -> Vec<usize> {
    let mut column = vec![0_usize; boxes];
    // Without circles there are no more rounds than boxes.
    for _ in 0..boxes {
        let mut moved = false;
        for (from, to) in edges {
            if from != to && column[*to] <= column[*from] {
                column[*to] = column[*from] + 1;
                moved = true;
            }
        }
        if !moved {
            break;
        }
    }
    let is_caused = |node: usize| edges.iter().any(|(_, to)| *to == node);
    for node in (0..boxes).filter(|node| !is_caused(*node)) {
        let next = edges.iter().filter(|(from, _)| *from == node).map(|(_, to)| column[*to]).min();
        column[node] = next.map_or(0, |next| next.saturating_sub(1));
    }
    column
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_point_to_the_right_and_pass_each_column_between() {
        let layers = Layers::of(&Graph { boxes: 3, edges: vec![(0, 1), (1, 2), (0, 2)] });
        assert_eq!(layers.columns, [vec![0], vec![1, 3], vec![2]]);
        assert_eq!(layers.routes[2].nodes, [0, 3, 2]);
    }

    #[test]
    fn a_circle_has_one_edge_that_points_back() {
        let layers = Layers::of(&Graph { boxes: 3, edges: vec![(0, 1), (1, 2), (2, 1)] });
        let backwards: Vec<_> = layers.routes.iter().map(|route| route.backwards).collect();
        assert_eq!(backwards, [false, false, true]);
        assert_eq!(layers.columns.len(), 3);
    }
}
