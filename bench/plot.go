// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"image/color"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// A chart is a figure of the document: one line for each system, one point for each of the
// workloads, which differ in one number.
type chart struct {
	file, title, x, y string
	workload          string // with a verb for the number
	numbers           []int
	systems           []string
	metric            string
	left              bool // the legend, where the lines rise
}

var charts = []chart{
	{
		file: "performance-streams.svg", title: "Streams: throughput over element size", x: "bytes of an element", y: "elements/s",
		workload: "stream/%d", numbers: []int{16, 128, 1 << 10, 64 << 10}, metric: "rate",
		systems: []string{"packed", "durabus", "raw", "grpc", "drpc"},
	},
	{
		file: "performance-fanout.svg", title: "Fan-out: CPU time of all processes for an update", x: "subscribers", y: "µs",
		workload: "fanout/busy/%d", numbers: []int{10, 100, 1000, 10_000}, metric: "cpu", left: true,
		systems: []string{"durabus", "raw-shared", "raw", "grpc", "drpc"},
	},
	{
		file: "performance-publisher.svg", title: "Fan-out: CPU time of the publisher for an update", x: "subscribers", y: "µs",
		workload: "fanout/busy/%d", numbers: []int{10, 100, 1000, 10_000}, metric: "cpu.server", left: true,
		systems: []string{"durabus", "raw", "grpc", "drpc"},
	},
}

var colours = map[string]color.Color{
	"durabus":    color.RGBA{R: 0xd0, G: 0x30, B: 0x20, A: 0xff},
	"raw-shared": color.RGBA{R: 0x70, G: 0x70, B: 0x70, A: 0xff},
	"packed":     color.RGBA{R: 0x70, G: 0x70, B: 0x70, A: 0xff},
	"raw":        color.RGBA{R: 0x20, G: 0x60, B: 0xb0, A: 0xff},
	"grpc":       color.RGBA{R: 0x20, G: 0x90, B: 0x50, A: 0xff},
	"drpc":       color.RGBA{R: 0xb0, G: 0x80, B: 0x10, A: 0xff},
}

// plots writes the charts that have points into folder, and returns the markdown
// that shows them.
func (r *results) plots(folder string) (markdown string, err error) {
	for _, c := range charts {
		drawn, err := r.plot(c, folder)
		if err != nil {
			return "", fmt.Errorf("%s: %w", c.file, err)
		}
		if drawn {
			markdown += fmt.Sprintf("\n![%s](%s)\n", c.title, c.file)
		}
	}
	return markdown, nil
}

// plot reports whether there was anything to draw.
func (r *results) plot(c chart, folder string) (drawn bool, err error) {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = c.title, c.x, c.y
	p.X.Scale, p.Y.Scale = plot.LogScale{}, plot.LogScale{}
	p.X.Tick.Marker, p.Y.Tick.Marker = numbered(c.numbers), powers{}
	p.Legend.Top, p.Legend.Left = true, c.left
	p.Add(plotter.NewGrid())
	for _, s := range c.systems {
		points := r.points(c, s)
		if len(points) == 0 {
			continue
		}
		line, dots, err := plotter.NewLinePoints(points)
		if err != nil {
			return false, err
		}
		line.Color, dots.Color = colours[s], colours[s]
		line.Width = vg.Points(1.5)
		p.Add(line, dots)
		p.Legend.Add(s, line, dots)
		drawn = true
	}
	if !drawn {
		return false, nil
	}
	return true, save(p, filepath.Join(folder, c.file))
}

// save writes a plot with room at the right for the last label of its axis.
func save(p *plot.Plot, name string) error {
	canvas, err := draw.NewFormattedCanvas(16*vg.Centimeter, 10*vg.Centimeter, "svg")
	if err != nil {
		return err
	}
	p.Draw(draw.Crop(draw.New(canvas), 0, -vg.Centimeter, 0, -2*vg.Millimeter))
	var text bytes.Buffer
	if _, err := canvas.WriteTo(&text); err != nil {
		return err
	}
	return os.WriteFile(name, text.Bytes(), 0o644)
}

func (r *results) points(c chart, system string) (all plotter.XYs) {
	for _, n := range c.numbers {
		figures := r.values(fmt.Sprintf(c.workload, n), system, c.metric)
		if len(figures) > 0 {
			median := summarize(slices.Collect(maps.Values(figures))).median
			all = append(all, plotter.XY{X: float64(n), Y: median})
		}
	}
	return all
}

// numbered marks the numbers of the workloads on an axis.
func numbered(numbers []int) plot.Ticker {
	var marks plot.ConstantTicks
	for _, n := range numbers {
		marks = append(marks, plot.Tick{Value: float64(n), Label: fmt.Sprint(n)})
	}
	return marks
}

// powers marks the powers of ten.
type powers struct{}

// Ticks labels each power between low and high as the tables do.
func (powers) Ticks(low, high float64) (marks []plot.Tick) {
	for v := 1e-3; v <= high*10; v *= 10 {
		if v >= low/10 {
			marks = append(marks, plot.Tick{Value: v, Label: figure(v)})
		}
	}
	return marks
}
