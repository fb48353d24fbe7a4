"""A later version of the bank's messages: the state has one field more, so its fingerprint is another."""

from types import ModuleType

from google.protobuf import descriptor_pb2
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

from tests.support.bank import messages_pb2


def messages() -> ModuleType:
    """What `messages_pb2` would be if Account had an `int64 total = 15`; its types are strangers to messages_pb2's."""
    file = descriptor_pb2.FileDescriptorProto.FromString(messages_pb2.DESCRIPTOR.serialized_pb)
    account = next(message for message in file.message_type if message.name == "Account")
    account.field.add(
        name="total",
        number=15,
        type=descriptor_pb2.FieldDescriptorProto.TYPE_INT64,
        label=descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL,
    )
    pool = DescriptorPool()
    pool.Add(file)
    module = ModuleType("tests.support.bank.messages_pb2")
    for message in file.message_type:
        descriptor = pool.FindMessageTypeByName(f"{file.package}.{message.name}")
        setattr(module, message.name, GetMessageClass(descriptor))
    return module
