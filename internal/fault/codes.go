package fault

import "fmt"

// A Code names the rule that was broken. The zero Code is not a rule: a fault
// without a code is a bug, and is shown as Internal.
type Code uint8

// A Class says what kind of failure a rule's breach is, and so what a client
// may do about it. internal/rpc gives each its gRPC status code; the names are
// gRPC's so that nobody has to learn a second set.
type Class uint8

const (
	Internal           Class = iota // pemba is wrong; never what a client can cause
	InvalidArgument                 // wrong whatever the state is: correct the request
	NotFound                        // what the request works in does not exist
	AlreadyExists                   // create of what is there
	FailedPrecondition              // wrong in this state: change the state, or the request
	PermissionDenied                // the actor may not
	Unauthenticated                 // the caller is not known
	OutOfRange                      // past the history
	Aborted                         // lost a race: read again and retry
	ResourceExhausted               // a budget or the machine's capacity ran out
	Unavailable                     // not now: retry later
	DeadlineExceeded                // the caller's time ran out
	Canceled                        // the caller went away
	Unimplemented                   // this release does not do that
	DataLoss                        // what is stored cannot be read
)

// The rules, in order of precedence: a request that breaks several reports the
// first of this list as its reason, and all of them as violations.
const (
	_ Code = iota

	// What this release does not do. It stands first because nothing else can
	// be said of a request that asks for it.
	NotInThisRelease

	// The form of a request.
	RequestMustBeReadable
	FieldMustBeSet
	FieldMustNotBeSet
	FieldMustBeUTF8
	FieldMustBeWithinBounds
	StoreNameMustBeValid
	ObjectMustHaveType
	ObjectMustBeConcrete
	TypeNameMustBeValid
	NameMustBeValid
	IDMustBeValid
	SubjectMustBeConcrete
	CaveatNameMustBeValid
	ContextMustBeReadable
	ExpirationMustBeATime
	TupleMustBeReadable
	FilterMustBeReadable
	SnapshotMustBeReadable
	PageTokenMustBeReadable
	PageTokenMustFitTheRequest
	FileMustBeReadable
	SourceMustBeConvertible

	// What the request works in.
	StoreMustExist
	SchemaMustExist
	SnapshotMustBeOfThisStore
	SnapshotMustNotBeOfTheFuture
	SnapshotMustBeWithinHistory

	// Names in a question.
	TypeMustExist
	NameMustExist

	// The schema language.
	SchemaMustBeReadable
	SchemaMustUseItsFeatures
	NameMustBeUnique
	NameMustNotBeReserved
	SubjectTypeMustExist
	SubjectRelationMustExist
	CaveatMustExist
	CaveatMustBeValid
	ArrowMustStartAtARelation
	ArrowTargetMustExist
	RolesMustStandTogether
	MultiplicityMustBePossible
	ClauseMustFit
	SchemaMustBeStratified
	SchemaMustStayWithinBounds
	SchemaMustBeOneText
	ImportMustBeReadable
	PartialMustExist
	IncludesMustNotCircle
	TypeAnnotationMustFit

	// What compiles, and is probably not meant.
	NameShouldBeRead
	NameShouldBeHoldable
	PartialShouldBeUsed
	CaveatShouldBeUsed
	OperatorsShouldBeParenthesised
	LinkShouldBeGuarded
	LowerRoleShouldNotGrant

	// Writing a schema.
	SchemaVersionMustMatch
	TuplesMustFitTheSchema

	// Writing tuples, in the order in which they are judged.
	RequestIDMustNotBeReused
	NotInSchema
	AlreadyExistsCreate
	MatchesMustStayWithinLimit
	PreconditionMustHold
	ActorMustBeAllowedToGrant
	OneRolePerSubject
	UpperBoundMustHold
	LowerBoundMustHold
	SubjectMustBeIn

	// Loading many tuples.
	ImportMustContinue

	// The machine.
	StoresMustStayWithinBounds
	StoreMustNotBeLoading
	WalkMustStayWithinBudget
	JudgingMustStayWithinBudget
	DeadlineMustNotPass
	CallerMustStay
	DataDirectoryMustBeFree
	DataMustBeReadable
	DiskMustTakeWrites
	ServerMustBeServing
	PembaMustNotPanic

	codesEnd
)

type codeInfo struct {
	reason string
	class  Class
}

// codes is the only list of reasons: what ErrorInfo carries, and its class.
// Where a reason departs from the Code's own name, the language's text fixes it.
var codes = [...]codeInfo{
	NotInThisRelease: {"NOT_IN_THIS_RELEASE", Unimplemented},

	RequestMustBeReadable:      {"REQUEST_MUST_BE_READABLE", InvalidArgument},
	FieldMustBeSet:             {"FIELD_MUST_BE_SET", InvalidArgument},
	FieldMustNotBeSet:          {"FIELD_MUST_NOT_BE_SET", InvalidArgument},
	FieldMustBeUTF8:            {"FIELD_MUST_BE_UTF8", InvalidArgument},
	FieldMustBeWithinBounds:    {"FIELD_MUST_BE_WITHIN_BOUNDS", InvalidArgument},
	StoreNameMustBeValid:       {"STORE_NAME_MUST_BE_VALID", InvalidArgument},
	ObjectMustHaveType:         {"OBJECT_MUST_HAVE_TYPE", InvalidArgument},
	ObjectMustBeConcrete:       {"OBJECT_MUST_BE_CONCRETE", InvalidArgument},
	TypeNameMustBeValid:        {"TYPE_NAME_MUST_BE_VALID", InvalidArgument},
	NameMustBeValid:            {"NAME_MUST_BE_VALID", InvalidArgument},
	IDMustBeValid:              {"ID_MUST_BE_VALID", InvalidArgument},
	SubjectMustBeConcrete:      {"SUBJECT_MUST_BE_CONCRETE", InvalidArgument},
	CaveatNameMustBeValid:      {"CAVEAT_NAME_MUST_BE_VALID", InvalidArgument},
	ContextMustBeReadable:      {"CONTEXT_MUST_BE_READABLE", InvalidArgument},
	ExpirationMustBeATime:      {"EXPIRATION_MUST_BE_A_TIME", InvalidArgument},
	TupleMustBeReadable:        {"TUPLE_MUST_BE_READABLE", InvalidArgument},
	FilterMustBeReadable:       {"FILTER_MUST_BE_READABLE", InvalidArgument},
	SnapshotMustBeReadable:     {"SNAPSHOT_MUST_BE_READABLE", InvalidArgument},
	PageTokenMustBeReadable:    {"PAGE_TOKEN_MUST_BE_READABLE", InvalidArgument},
	PageTokenMustFitTheRequest: {"PAGE_TOKEN_MUST_FIT_THE_REQUEST", InvalidArgument},
	FileMustBeReadable:         {"FILE_MUST_BE_READABLE", InvalidArgument},
	SourceMustBeConvertible:    {"SOURCE_MUST_BE_CONVERTIBLE", InvalidArgument},

	StoreMustExist:               {"STORE_MUST_EXIST", NotFound},
	SchemaMustExist:              {"SCHEMA_MUST_EXIST", NotFound},
	SnapshotMustBeOfThisStore:    {"SNAPSHOT_MUST_BE_OF_THIS_STORE", FailedPrecondition},
	SnapshotMustNotBeOfTheFuture: {"SNAPSHOT_MUST_NOT_BE_OF_THE_FUTURE", FailedPrecondition},
	SnapshotMustBeWithinHistory:  {"SNAPSHOT_MUST_BE_WITHIN_HISTORY", OutOfRange},

	TypeMustExist: {"TYPE_MUST_EXIST", InvalidArgument},
	NameMustExist: {"NAME_MUST_EXIST", InvalidArgument},

	SchemaMustBeReadable:       {"SCHEMA_MUST_BE_READABLE", InvalidArgument},
	SchemaMustUseItsFeatures:   {"SCHEMA_MUST_USE_ITS_FEATURES", InvalidArgument},
	NameMustBeUnique:           {"NAME_MUST_BE_UNIQUE", InvalidArgument},
	NameMustNotBeReserved:      {"NAME_MUST_NOT_BE_RESERVED", InvalidArgument},
	SubjectTypeMustExist:       {"SUBJECT_TYPE_MUST_EXIST", InvalidArgument},
	SubjectRelationMustExist:   {"SUBJECT_RELATION_MUST_EXIST", InvalidArgument},
	CaveatMustExist:            {"CAVEAT_MUST_EXIST", InvalidArgument},
	CaveatMustBeValid:          {"CAVEAT_MUST_BE_VALID", InvalidArgument},
	ArrowMustStartAtARelation:  {"ARROW_MUST_START_AT_A_RELATION", InvalidArgument},
	ArrowTargetMustExist:       {"ARROW_TARGET_MUST_EXIST", InvalidArgument},
	RolesMustStandTogether:     {"ROLES_MUST_STAND_TOGETHER", InvalidArgument},
	MultiplicityMustBePossible: {"MULTIPLICITY_MUST_BE_POSSIBLE", InvalidArgument},
	ClauseMustFit:              {"CLAUSE_MUST_FIT", InvalidArgument},
	SchemaMustBeStratified:     {"SCHEMA_MUST_BE_STRATIFIED", InvalidArgument},
	SchemaMustStayWithinBounds: {"SCHEMA_MUST_STAY_WITHIN_BOUNDS", InvalidArgument},
	SchemaMustBeOneText:        {"SCHEMA_MUST_BE_ONE_TEXT", InvalidArgument},
	ImportMustBeReadable:       {"IMPORT_MUST_BE_READABLE", InvalidArgument},
	PartialMustExist:           {"PARTIAL_MUST_EXIST", InvalidArgument},
	IncludesMustNotCircle:      {"INCLUDES_MUST_NOT_CIRCLE", InvalidArgument},
	TypeAnnotationMustFit:      {"TYPE_ANNOTATION_MUST_FIT", InvalidArgument},

	NameShouldBeRead:               {"NAME_SHOULD_BE_READ", InvalidArgument},
	NameShouldBeHoldable:           {"NAME_SHOULD_BE_HOLDABLE", InvalidArgument},
	PartialShouldBeUsed:            {"PARTIAL_SHOULD_BE_USED", InvalidArgument},
	CaveatShouldBeUsed:             {"CAVEAT_SHOULD_BE_USED", InvalidArgument},
	OperatorsShouldBeParenthesised: {"OPERATORS_SHOULD_BE_PARENTHESISED", InvalidArgument},
	LinkShouldBeGuarded:            {"LINK_SHOULD_BE_GUARDED", InvalidArgument},
	LowerRoleShouldNotGrant:        {"LOWER_ROLE_SHOULD_NOT_GRANT_HIGHER", InvalidArgument},

	SchemaVersionMustMatch: {"SCHEMA_VERSION_MUST_MATCH", FailedPrecondition},
	TuplesMustFitTheSchema: {"TUPLES_MUST_FIT_THE_SCHEMA", FailedPrecondition},

	RequestIDMustNotBeReused:   {"REQUEST_ID_MUST_NOT_BE_REUSED", FailedPrecondition},
	NotInSchema:                {"NOT_IN_SCHEMA", FailedPrecondition},
	AlreadyExistsCreate:        {"ALREADY_EXISTS", AlreadyExists},
	MatchesMustStayWithinLimit: {"MATCHES_MUST_STAY_WITHIN_LIMIT", FailedPrecondition},
	PreconditionMustHold:       {"PRECONDITION_MUST_HOLD", FailedPrecondition},
	ActorMustBeAllowedToGrant:  {"ACTOR_MUST_BE_ALLOWED_TO_GRANT", PermissionDenied},
	OneRolePerSubject:          {"ONE_ROLE_PER_SUBJECT", FailedPrecondition},
	UpperBoundMustHold:         {"UPPER_BOUND_MUST_HOLD", FailedPrecondition},
	LowerBoundMustHold:         {"LOWER_BOUND_MUST_HOLD", FailedPrecondition},
	SubjectMustBeIn:            {"SUBJECT_MUST_BE_IN", FailedPrecondition},

	ImportMustContinue: {"IMPORT_MUST_CONTINUE", FailedPrecondition},

	StoresMustStayWithinBounds:  {"STORES_MUST_STAY_WITHIN_BOUNDS", ResourceExhausted},
	StoreMustNotBeLoading:       {"STORE_MUST_NOT_BE_LOADING", Unavailable},
	WalkMustStayWithinBudget:    {"WALK_MUST_STAY_WITHIN_BUDGET", ResourceExhausted},
	JudgingMustStayWithinBudget: {"JUDGING_MUST_STAY_WITHIN_BUDGET", ResourceExhausted},
	DeadlineMustNotPass:         {"DEADLINE_MUST_NOT_PASS", DeadlineExceeded},
	CallerMustStay:              {"CALLER_MUST_STAY", Canceled},
	DataDirectoryMustBeFree:     {"DATA_DIRECTORY_MUST_BE_FREE", Unavailable},
	DataMustBeReadable:          {"DATA_MUST_BE_READABLE", DataLoss},
	DiskMustTakeWrites:          {"DISK_MUST_TAKE_WRITES", Unavailable},
	ServerMustBeServing:         {"SERVER_MUST_BE_SERVING", Unavailable},
	PembaMustNotPanic:           {"PEMBA_MUST_NOT_PANIC", Internal},
}

// The table has a line for every code: an array of another length does not compile.
var _ [codesEnd]codeInfo = codes

// Reason is the rule in UPPER_SNAKE, as ErrorInfo carries it.
func (c Code) Reason() string { return c.info().reason }

// Class says what kind of failure a breach of this rule is.
func (c Code) Class() Class { return c.info().class }

func (c Code) String() string { return c.Reason() }

func (c Code) info() codeInfo {
	if c == 0 || c >= codesEnd {
		return codeInfo{fmt.Sprintf("CODE_%d", uint8(c)), Internal}
	}
	return codes[c]
}

// CodeOf finds the code whose reason this is; ok is false where none has it.
func CodeOf(reason string) (code Code, ok bool) {
	for c := Code(1); c < codesEnd; c++ {
		if codes[c].reason == reason {
			return c, true
		}
	}
	return 0, false
}
