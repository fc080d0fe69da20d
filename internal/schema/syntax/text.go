package syntax

import "strings"

// Text is an expression on one line, with the parentheses it was written with.
func Text(e Expr) string {
	var b strings.Builder
	writeExpr(&b, e)
	return b.String()
}

func writeExpr(b *strings.Builder, e Expr) {
	switch e := e.(type) {
	case *NameExpr:
		b.WriteString(e.Name.Text)
	case *ArrowExpr:
		writeExpr(b, e.Left)
		switch e.Kind {
		case Arrow:
			b.WriteString("->" + e.Target.Text)
		case Any:
			b.WriteString(".any(" + e.Target.Text + ")")
		case All:
			b.WriteString(".all(" + e.Target.Text + ")")
		}
	case *SubjectExpr:
		b.WriteString("subject->" + e.Target.Text)
	case *BinaryExpr:
		writeExpr(b, e.Left)
		b.WriteString(" " + string(e.Op) + " ")
		writeExpr(b, e.Right)
	case *ParenExpr:
		b.WriteByte('(')
		writeExpr(b, e.X)
		b.WriteByte(')')
	case *NilExpr:
		b.WriteString("nil")
	case *SelfExpr:
		b.WriteString("self")
	}
}
