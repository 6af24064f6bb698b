// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
)

// Most of the time that a fault takes goes into building tests that nobody runs:
// a file of tests that the named one does not need is left out.

// A testFile is a file of tests, by the names in it.
type testFile struct {
	path     string
	declares map[string]bool // at the top level
	extends  map[string]bool // types that it has methods of
	uses     map[string]bool // anything at all
	always   bool            // it has a TestMain or an init
}

// A testFolder is the files of tests of one folder.
type testFolder []testFile

func readTestFolder(dir string) (all testFolder, err error) {
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		return nil, err
	}
	all = make(testFolder, len(files))
	for i, path := range files {
		if all[i], err = readTestFile(path); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// unneeded returns the files without which a function can be built. It goes by
// names alone, and so keeps too much rather than too little.
func (all testFolder) unneeded(function string) (paths []string, err error) {
	needed := map[string]bool{}
	var need func(f *testFile)
	need = func(f *testFile) {
		if needed[f.path] {
			return
		}
		needed[f.path] = true
		for i := range all {
			if other := &all[i]; meet(other.declares, f.uses) || meet(other.extends, f.declares) {
				need(other)
			}
		}
	}
	found := false
	for i := range all {
		if f := &all[i]; f.declares[function] || f.always {
			found = found || f.declares[function]
			need(f)
		}
	}
	if !found {
		return nil, fmt.Errorf("there is no %s", function)
	}
	for _, f := range all {
		if !needed[f.path] {
			paths = append(paths, f.path)
		}
	}
	return paths, nil
}

func meet(a, b map[string]bool) bool {
	for name := range a {
		if b[name] {
			return true
		}
	}
	return false
}

func readTestFile(path string) (testFile, error) {
	f := testFile{path: path, declares: map[string]bool{}, extends: map[string]bool{}, uses: map[string]bool{}}
	tree, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		return f, err
	}
	for _, d := range tree.Decls {
		f.declare(d)
	}
	for n := range ast.Preorder(tree) {
		if id, ok := n.(*ast.Ident); ok {
			f.uses[id.Name] = true
		}
	}
	return f, nil
}

func (f *testFile) declare(d ast.Decl) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil {
			f.declares[d.Name.Name] = true
			f.always = f.always || d.Name.Name == "TestMain" || d.Name.Name == "init"
			return
		}
		for n := range ast.Preorder(d.Recv.List[0].Type) {
			if id, ok := n.(*ast.Ident); ok {
				f.extends[id.Name] = true
			}
		}
	case *ast.GenDecl:
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.TypeSpec:
				f.declares[s.Name.Name] = true
			case *ast.ValueSpec:
				for _, id := range s.Names {
					f.declares[id.Name] = true
				}
			}
		}
	}
	delete(f.declares, "_")
}
