//! Where exactly each box goes: as near to the middle of its neighbours as those above and below it allow.

use super::layers::Layers;
use super::order::Neighbours;

/// Width and height of a box. A stand-in is as wide as its column: what passes, passes level.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Size {
    pub(super) width: f64,
    pub(super) height: f64,
}

/// The middle of a box.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Point {
    pub(super) x: f64,
    pub(super) y: f64,
}

const BETWEEN_COLUMNS: f64 = 56.0;
const BETWEEN_ROWS: f64 = 18.0;
const ROUNDS: usize = 24;
/// How much more a stand-in is drawn to the next one than a box to its neighbours: long wires are straight.
const STRAIGHT: f64 = 6.0;

/// Places all boxes and stand-ins, the topmost edge at 0, the leftmost at 0. Stand-ins get their width.
pub(super) fn place(
    layers: &Layers,
    neighbours: &Neighbours,
    boxes: usize,
    sizes: &mut [Size],
) -> Vec<Point> {
    let mut points = vec![Point::default(); layers.nodes];
    let mut x = 0.0;
    for column in &layers.columns {
        let width = column.iter().map(|node| sizes[*node].width).fold(0.0, f64::max);
        for node in column {
            points[*node].x = x + width / 2.0;
            if *node >= boxes {
                sizes[*node].width = width;
            }
        }
        x += width + BETWEEN_COLUMNS;
        let mut y = 0.0;
        for node in column {
            points[*node].y = y + sizes[*node].height / 2.0;
            y += sizes[*node].height + BETWEEN_ROWS;
        }
    }
    for round in 0..ROUNDS {
        let count = layers.columns.len();
        for step in 0..count {
            let column = &layers.columns[if round % 2 == 0 { step } else { count - 1 - step }];
            let wanted: Vec<f64> =
                column.iter().map(|node| wanted(*node, neighbours, boxes, &points)).collect();
            for (node, y) in column.iter().zip(settle(column, &wanted, sizes)) {
                points[*node].y = y;
            }
        }
    }
    let top =
        (0..layers.nodes).map(|node| points[node].y - sizes[node].height / 2.0).fold(f64::MAX, f64::min);
    points.iter_mut().for_each(|point| point.y -= top);
    points
}

/// The middle of all neighbours; its own place where there are none.
fn wanted(node: usize, neighbours: &Neighbours, boxes: usize, points: &[Point]) -> f64 {
    let (mut sum, mut all) = (0.0, 0.0);
    for other in neighbours.left[node].iter().chain(&neighbours.right[node]) {
        let weight = if node >= boxes && *other >= boxes { STRAIGHT } else { 1.0 };
        sum += points[*other].y * weight;
        all += weight;
    }
    if all == 0.0 { points[node].y } else { sum / all }
}

/// The nearest places to those wanted that keep the order and the distances: those that would overlap are joined to a block,
/// and the block goes to the middle of what its members want.
#[allow(clippy::cast_precision_loss, reason = "columns are short")]
fn settle(column: &[usize], wanted: &[f64], sizes: &[Size]) -> Vec<f64> {
    // Where each would be if the first were at 0.
    let mut offsets = vec![0.0; column.len()];
    for index in 1..column.len() {
        let (above, below) = (sizes[column[index - 1]].height, sizes[column[index]].height);
        offsets[index] = offsets[index - 1] + above / 2.0 + BETWEEN_ROWS + below / 2.0;
    }
    // Blocks: the sum of what is wanted less the offset, and how many.
    let mut blocks: Vec<(f64, usize)> = Vec::new();
    for index in 0..column.len() {
        let mut block = (wanted[index] - offsets[index], 1);
        while let Some(above) = blocks.pop_if(|above| above.0 / above.1 as f64 > block.0 / block.1 as f64) {
            block = (block.0 + above.0, block.1 + above.1);
        }
        blocks.push(block);
    }
    let starts = blocks.iter().flat_map(|(sum, many)| std::iter::repeat_n(sum / *many as f64, *many));
    starts.zip(offsets).map(|(start, offset)| start + offset).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_keep_their_order_and_their_distance() {
        let sizes = [Size { width: 10.0, height: 20.0 }; 3];
        let settled = settle(&[0, 1, 2], &[100.0, 0.0, 300.0], &sizes);
        assert_eq!(settled, [31.0, 69.0, 300.0]);
    }
}
