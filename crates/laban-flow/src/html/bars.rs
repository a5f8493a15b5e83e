//! The timeline as bars of HTML: boxes at percentages of a width.

use std::fmt::{self, Write as _};

use super::safe;
use crate::timeline::Scale;
use crate::words::duration;
use crate::{Flow, Timeline};

pub(super) fn write(flow: &Flow, timeline: &Timeline, scale: &Scale, page: &mut String) -> fmt::Result {
    writeln!(page, "<div class=\"time\">")?;
    for (step, bar) in flow.steps.iter().zip(&timeline.bars) {
        let class = match () {
            () if step.error.is_some() => " bad",
            () if step.is_system() => " system",
            () => "",
        };
        let arrow = if step.handler.is_some() { " → " } else { " " };
        let handler = step.handler.as_deref().unwrap_or_default();
        let label = format!("{} {handler}{arrow}{}", step.service, step.event);
        write!(
            page,
            "<div class=\"row{class}\"><span class=\"label\">{}</span><span class=\"axis\">",
            safe(&label)
        )?;
        for gap in scale.gaps() {
            block(page, "gap", gap.left, gap.right)?;
        }
        if !bar.shown_above && step.handler.is_some() {
            let [waiting, running, ended] =
                [bar.waiting_ms, bar.running_ms, bar.ended_ms].map(|ms| scale.place(ms));
            block(page, "queued", waiting, running)?;
            block(page, "handled", running, ended)?;
        }
        write!(
            page,
            "<i class=\"stored\" style=\"left:{:.3}%\"></i></span>",
            scale.place(bar.stored_ms) * 100.0
        )?;
        let took = match (step.handle_ms, bar.shown_above) {
            (Some(handle), false) => {
                format!("{} + {}", duration(bar.running_ms - bar.waiting_ms), duration(handle.as_f64()))
            }
            _ => String::new(),
        };
        writeln!(page, "<span class=\"took\">{took}</span></div>")?;
        for span in &step.inside {
            let bar = bar.of_inside(span);
            write!(
                page,
                "<div class=\"row {}\"><span class=\"label\" style=\"padding-left:{:.1}em\">{}</span><span \
                 class=\"axis\">",
                if span.failed { "bad" } else { "system" },
                1.5 + span.depth as f64,
                safe(&span.name)
            )?;
            block(page, "inside", scale.place(bar.running_ms), scale.place(bar.ended_ms))?;
            writeln!(page, "</span><span class=\"took\">{}</span></div>", duration(span.took_ms))?;
        }
    }
    let idle: f64 = scale.gaps().map(|gap| gap.to_ms - gap.from_ms).sum();
    let idle = if idle > 0.0 {
        format!(", {} of it idle (striped, shortened)", duration(idle))
    } else {
        String::new()
    };
    writeln!(
        page,
        "<p class=\"legend\"><b class=\"queued\"></b> waiting <b class=\"handled\"></b> handler <b \
         class=\"stored\"></b> stored; {} in all{idle}</p></div>",
        duration(timeline.length_ms)
    )
}

fn block(page: &mut String, class: &str, from: f64, to: f64) -> fmt::Result {
    let width = (to - from).max(0.0) * 100.0;
    write!(page, "<i class=\"{class}\" style=\"left:{:.3}%;width:{width:.3}%\"></i>", from * 100.0)
}
