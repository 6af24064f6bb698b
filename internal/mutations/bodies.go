// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
)

// A place is a function: the nth declaration of a file.
type place struct {
	path string
	n    int
}

// Bodies are what a fault makes of functions, between their braces.
type bodies map[place]string

// A source is a parsed file.
type source struct {
	path string
	text string
	fset *token.FileSet
	tree *ast.File
}

func parseSource(path, text string) (source, error) {
	fset := token.NewFileSet()
	tree, err := parser.ParseFile(fset, path, text, parser.SkipObjectResolution)
	return source{path, text, fset, tree}, err
}

func readSource(path string) (source, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return source{}, err
	}
	return parseSource(path, string(text))
}

func (s source) offset(p token.Pos) int { return s.fset.Position(p).Offset }

// body returns where the body of a declaration begins and ends, if it is a
// function's.
func (s source) body(d ast.Decl) (begin, end int, ok bool) {
	f, ok := d.(*ast.FuncDecl)
	if !ok || f.Body == nil {
		return 0, 0, false
	}
	return s.offset(f.Body.Lbrace) + 1, s.offset(f.Body.Rbrace), true
}

// outside returns the text of a declaration but for its body. Imports are all
// alike: what a fault does not use any more others do.
func (s source) outside(d ast.Decl) string {
	if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.IMPORT {
		return ""
	}
	from, to := s.offset(d.Pos()), s.offset(d.End())
	if begin, end, ok := s.body(d); ok {
		return s.text[from:begin] + s.text[end:to]
	}
	return s.text[from:to]
}

// bodies returns what the patch makes of functions; it may change nothing else.
func (p patch) bodies(root string) (bodies, error) {
	all := bodies{}
	for _, f := range p.files {
		was, err := readSource(filepath.Join(root, f.path))
		if err != nil {
			return nil, err
		}
		text, err := f.apply(was.text)
		if err != nil {
			return nil, err
		}
		is, err := parseSource(was.path, text)
		if err != nil {
			return nil, err
		}
		if len(is.tree.Decls) != len(was.tree.Decls) {
			return nil, fmt.Errorf("%s: it adds or takes away more than statements", f.path)
		}
		for i, d := range is.tree.Decls {
			if is.outside(d) != was.outside(was.tree.Decls[i]) {
				return nil, fmt.Errorf("%s:%d: it changes more than the body of a function", f.path, is.fset.Position(d.Pos()).Line)
			}
			begin, end, ok := is.body(d)
			if from, to, _ := was.body(was.tree.Decls[i]); ok && is.text[begin:end] != was.text[from:to] {
				all[place{was.path, i}] = is.text[begin:end]
			}
		}
	}
	return all, nil
}
