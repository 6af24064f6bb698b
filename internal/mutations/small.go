// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"go/ast"
	"go/token"
	"strconv"
	"strings"
)

// A smallFault is one token or statement of a function changed into another.
type smallFault struct {
	line     int
	from, to int // bytes of the file that are replaced
	kind     string
	with     string
}

// in returns what the fault makes of the bytes between begin and end.
func (f smallFault) in(src string, begin, end int) string {
	return src[begin:f.from] + f.with + src[f.to:end]
}

// describe is the line before and after.
func (f smallFault) describe(src string) string {
	start := strings.LastIndexByte(src[:f.from], '\n') + 1
	end := f.to + strings.IndexByte(src[f.to:], '\n')
	line := func(middle string) string {
		return strings.Join(strings.Fields(src[start:f.from]+middle+src[f.to:end]), " ")
	}
	return fmt.Sprintf("%s: %s  =>  %s", f.kind, line(src[f.from:f.to]), line(f.with))
}

// An operator becomes each of others.
var operators = map[token.Token][]struct {
	kind string
	with token.Token
}{
	token.LSS:     {{"boundary", token.LEQ}, {"comparison", token.GEQ}},
	token.LEQ:     {{"boundary", token.LSS}, {"comparison", token.GTR}},
	token.GTR:     {{"boundary", token.GEQ}, {"comparison", token.LEQ}},
	token.GEQ:     {{"boundary", token.GTR}, {"comparison", token.LSS}},
	token.EQL:     {{"comparison", token.NEQ}},
	token.NEQ:     {{"comparison", token.EQL}},
	token.LAND:    {{"logic", token.LOR}},
	token.LOR:     {{"logic", token.LAND}},
	token.ADD:     {{"arithmetic", token.SUB}},
	token.SUB:     {{"arithmetic", token.ADD}},
	token.MUL:     {{"arithmetic", token.QUO}},
	token.QUO:     {{"arithmetic", token.MUL}},
	token.REM:     {{"arithmetic", token.QUO}},
	token.AND:     {{"arithmetic", token.OR}},
	token.OR:      {{"arithmetic", token.AND}},
	token.AND_NOT: {{"arithmetic", token.AND}},
	token.SHL:     {{"arithmetic", token.SHR}},
	token.SHR:     {{"arithmetic", token.SHL}},

	token.ADD_ASSIGN:     {{"arithmetic", token.SUB_ASSIGN}},
	token.SUB_ASSIGN:     {{"arithmetic", token.ADD_ASSIGN}},
	token.OR_ASSIGN:      {{"arithmetic", token.AND_ASSIGN}},
	token.AND_NOT_ASSIGN: {{"arithmetic", token.OR_ASSIGN}},
	token.INC:            {{"arithmetic", token.DEC}},
	token.DEC:            {{"arithmetic", token.INC}},
}

// smallFaults returns those of one function: what a slip of the hand may do.
func smallFaults(fset *token.FileSet, function *ast.FuncDecl) (all []smallFault) {
	add := func(kind string, from, to token.Pos, with string) {
		at := fset.Position(from)
		all = append(all, smallFault{at.Line, at.Offset, fset.Position(to).Offset, kind, with})
	}
	operator := func(pos token.Pos, op token.Token) {
		for _, o := range operators[op] {
			add(o.kind, pos, pos+token.Pos(len(op.String())), o.with.String())
		}
	}
	condition := func(e ast.Expr) {
		add("condition", e.Pos(), e.End(), "true")
		add("condition", e.Pos(), e.End(), "false")
	}
	for n := range ast.Preorder(function.Body) {
		switch n := n.(type) {
		case *ast.BinaryExpr:
			operator(n.OpPos, n.Op)
		case *ast.IncDecStmt:
			operator(n.TokPos, n.Tok)
			add("statement left out", n.Pos(), n.End(), "")
		case *ast.AssignStmt:
			operator(n.TokPos, n.Tok)
			if n.Tok != token.DEFINE {
				add("statement left out", n.Pos(), n.End(), "")
			}
		case *ast.ExprStmt:
			add("statement left out", n.Pos(), n.End(), "")
		case *ast.UnaryExpr:
			if n.Op == token.NOT {
				add("logic", n.OpPos, n.OpPos+1, "")
			}
		case *ast.IfStmt:
			condition(n.Cond)
		case *ast.SwitchStmt:
			if n.Tag == nil {
				for _, c := range n.Body.List {
					for _, e := range c.(*ast.CaseClause).List {
						condition(e)
					}
				}
			}
		case *ast.BasicLit:
			if v, err := strconv.Atoi(n.Value); n.Kind == token.INT && err == nil {
				add("number", n.Pos(), n.End(), strconv.Itoa(v+1))
			}
		case *ast.Ident:
			if other := otherNames[n.Name]; other != "" {
				add("name", n.Pos(), n.End(), other)
			}
		}
	}
	return all
}

var otherNames = map[string]string{"min": "max", "max": "min", "true": "false", "false": "true"}
